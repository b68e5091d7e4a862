"""DICOMweb when something goes wrong: broken connections, missing images, refusals, and secrets that must not leak."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from stand_in import StandIn

from dsm.cli.main import main
from dsm.errors import DSMError, JobCancelled
from dsm.io.dicomweb import DicomwebServer
from dsm.io.dicomweb_access import DicomwebAccess
from dsm.io.dicomweb_address import DicomwebAddress

TOKEN = "token-that-must-not-leak"  # noqa: S105


def fetch(server: StandIn, folder: Path, **options) -> None:
    DicomwebServer(server.address, DicomwebAccess()).fetch(DicomwebAddress.parse(server.scan), folder, **options)


def uids(folder: Path) -> set[str]:
    return {str(dcmread(file).SOPInstanceUID) for file in folder.iterdir()}


def test_a_series_comes_as_it_is(server, series, tmp_path):
    steps = []
    fetch(server, tmp_path, progress=lambda *step: steps.append(step))
    assert uids(tmp_path) == set(server.files)
    one, *_ = (dcmread(file) for file in tmp_path.iterdir())
    (same,) = (each for each in map(dcmread, series.iterdir()) if each.SOPInstanceUID == one.SOPInstanceUID)
    assert one == same
    assert steps == [("download", n, 4) for n in range(5)]


@pytest.mark.parametrize("break_after", [0, 2])
def test_what_a_broken_stream_left_out_is_asked_for_again(server, tmp_path, break_after):
    server.break_after = break_after
    fetch(server, tmp_path)
    assert uids(tmp_path) == set(server.files)


def test_an_image_without_all_of_its_voxels_is_missing(server, tmp_path):
    server.cut_last = True
    with pytest.raises(DSMError, match="1 of the 4 images"):
        fetch(server, tmp_path)


def test_a_missing_image_is_said(server, tmp_path):
    server.lost = {next(iter(server.files))}
    with pytest.raises(DSMError, match="1 of the 4 images of the series cannot be fetched") as caught:
        fetch(server, tmp_path)
    assert caught.value.code == "dicomweb.incomplete"
    assert caught.value.hint


def test_a_server_that_is_busy_is_asked_again(server, tmp_path):
    server.statuses = [503, 429, 502]
    fetch(server, tmp_path)
    assert uids(tmp_path) == set(server.files)


def test_a_server_that_stays_busy(server, tmp_path):
    server.statuses = [503] * 20
    with pytest.raises(DSMError, match="answers with status 503"):
        fetch(server, tmp_path)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(401, "remote.token", "DSM_DICOMWEB_TOKEN"), (403, "remote.token", "right"), (500, "dicomweb.status", "log")],
)
def test_refusals_say_what_to_do(server, tmp_path, status, code, words):
    server.statuses = [status] * 20
    with pytest.raises(DSMError) as caught:
        fetch(server, tmp_path)
    assert caught.value.code == code
    assert words in caught.value.hint


def test_pages_that_repeat_end(server, tmp_path):
    server.same_page = True
    fetch(server, tmp_path)
    assert uids(tmp_path) == set(server.files)


def test_cancel(server, tmp_path):
    def cancel(_stage: str, done: int, _total: int) -> None:
        if done == 1:
            raise JobCancelled("Cancelled.")

    with pytest.raises(JobCancelled):
        fetch(server, tmp_path, progress=cancel)
    assert len(list(tmp_path.iterdir())) == 1


def test_no_redirect_to_an_unencrypted_address(server, tmp_path):
    server.redirect = "http://192.0.2.1/rs/"  # an address for documentation, never assigned
    with pytest.raises(DSMError, match="leads to an address that is not encrypted"):
        fetch(server, tmp_path)


def test_nothing_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = DicomwebAddress.parse(f"http://127.0.0.1:{port}/rs/studies/1.2/series/3.4")
    with pytest.raises(DSMError, match="Nothing listens") as caught:
        DicomwebServer(address.server, DicomwebAccess()).fetch(address, tmp_path)
    assert caught.value.code == "remote.refused"


def test_another_study_is_not_found(server, capsys):
    assert main(["dicomweb", "find", f"{server.address}/studies/1.2"]) == 0
    assert capsys.readouterr().err == "No CT or MR series was found.\n"


def test_find_prints_addresses(server, capsys):
    assert main(["dicomweb", "find", server.address, "--patient", "P1", "--date", "2024"]) == 0
    assert capsys.readouterr().out == f"{server.scan}\tCT, 20240101, 4 images\n"
    assert "PatientID=P1" in server.requests[0][1]
    assert main(["dicomweb", "find", server.address, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["address"], row["images"]) == (server.scan, 4)


def test_get_leaves_nothing_behind(server, tmp_path, capsys):
    out = tmp_path / "scan"
    server.lost = {next(iter(server.files))}
    assert main(["dicomweb", "get", server.scan, "-o", str(out)]) == 2
    assert "1 of the 4 images" in capsys.readouterr().err
    assert list(out.iterdir()) == []
    server.lost = set()
    assert main(["dicomweb", "get", server.scan, "-o", str(out)]) == 0
    assert uids(out) == set(server.files)
    assert main(["dicomweb", "get", server.scan, "-o", str(out)]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def answer(file: Path, **failure: int) -> bytes:
    uid = {"vr": "UI", "Value": [str(dcmread(file).SOPInstanceUID)]}
    if not failure:
        return json.dumps({"00081199": {"vr": "SQ", "Value": [{"00081155": uid}]}}).encode()
    reason = {"vr": "US", "Value": [failure["reason"]]}
    return json.dumps({"00081198": {"vr": "SQ", "Value": [{"00081155": uid, "00081197": reason}]}}).encode()


def test_send_some(server, series, tmp_path, capsys):
    file = next(series.iterdir())
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    assert main(["dicomweb", "send", str(text), str(file), "--to", server.address]) == 3
    captured = capsys.readouterr()
    assert captured.out == f"stored {file}\n"
    assert "is not a DICOM file" in captured.err


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [(202, 0x0122, "does not take segmentations"), (200, 0xC000, "reason C000"), (409, 0xA700, "out of resources")],
)
def test_a_file_that_is_refused_is_said(server, series, capsys, status, reason, words):
    file = next(series.iterdir())
    server.store_status, server.store_answer = status, answer(file, reason=reason)
    assert main(["dicomweb", "send", str(file), "--to", server.address]) == 3
    assert words in capsys.readouterr().err


def test_a_store_that_nobody_confirms_is_no_success(server, series, capsys):
    file = next(series.iterdir())
    del server.files[str(dcmread(file).SOPInstanceUID)]
    assert main(["dicomweb", "send", str(file), "--to", server.address]) == 3
    assert "has not stored" in capsys.readouterr().err


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own for 127.0.0.1, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=dsm"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths


def test_certificates(series, certificate, capsys, monkeypatch):
    trusted = ["--certificate", str(certificate[0])]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[1]))  # the flag wins
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    with StandIn(series).running(tls) as server:
        assert main(["dicomweb", "find", server.address, *trusted]) == 0
        assert capsys.readouterr().out.startswith(server.scan)
        assert main(["dicomweb", "find", server.address]) == 2
        assert "give the certificate of your department's authority by --certificate" in capsys.readouterr().err
        assert main(["dicomweb", "find", server.address.replace("127.0.0.1", "localhost"), *trusted]) == 2
        assert "The certificate of https://localhost" in capsys.readouterr().err
    assert main(["dicomweb", "find", server.address, "--certificate", str(certificate[1])]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main(["dicomweb", "find", server.address, "--certificate", "nothing.pem"]) == 2
    assert "There is no file nothing.pem" in capsys.readouterr().err


def test_https_where_there_is_none(server, capsys):
    assert main(["dicomweb", "find", server.address.replace("http:", "https:")]) == 2
    assert "does not speak HTTPS" in capsys.readouterr().err


class TestSecrets:
    def test_from_the_environment(self, server, monkeypatch, capfd):
        monkeypatch.setenv("DSM_DICOMWEB_TOKEN", TOKEN)
        assert main(["dicomweb", "find", server.address, "--debug"]) == 0
        assert server.requests[0][2]["Authorization"] == f"Bearer {TOKEN}"
        captured = capfd.readouterr()
        assert TOKEN not in captured.out + captured.err

    def test_name_and_password(self, server, monkeypatch):
        monkeypatch.setenv("DSM_DICOMWEB_TOKEN", "anna:geheim")
        assert main(["dicomweb", "find", server.address]) == 0
        assert server.requests[0][2]["Authorization"] == "Basic YW5uYTpnZWhlaW0="

    def test_file_that_others_may_read(self, server, tmp_path, capsys):
        file = tmp_path / "token"
        file.write_text(TOKEN + "\n")
        file.chmod(0o644)
        assert main(["dicomweb", "find", server.address, "--token-file", str(file)]) == 2
        assert f"Run: chmod 600 {file}" in capsys.readouterr().err
        assert not server.requests
        file.chmod(0o600)
        assert main(["dicomweb", "find", server.address, "--token-file", str(file)]) == 0
        assert server.requests[0][2]["Authorization"] == f"Bearer {TOKEN}"

    def test_none_of_netrc(self, server, tmp_path, monkeypatch):
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login anna password geheim\n")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        assert main(["dicomweb", "find", server.address]) == 0
        assert "Authorization" not in server.requests[0][2]

    @pytest.mark.parametrize(
        "address",
        ["https://anna:geheim@pacs/dicom-web", "https://pacs/dicom-web?token=geheim", "http://pacs/dicom-web"],
    )
    def test_not_in_an_address(self, address, capsys):
        with pytest.raises(SystemExit) as end:
            main(["dicomweb", "find", address])
        assert end.value.code == 2
        captured = capsys.readouterr().err
        assert "geheim" not in captured
        assert captured.count("\n") == 1


def test_a_batch_goes_on_after_a_series_with_a_gap(server, dsm_tiny, tmp_path, capsys):
    server.lost = {next(iter(server.files))}
    out = tmp_path / "out"
    arguments = ["-p", "liver", "--model", str(dsm_tiny), "--out", str(out)]
    assert main(["batch", server.scan, *arguments]) == 3
    assert "dicomweb.incomplete" in (out / "segments.csv").read_text(encoding="utf-8-sig")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scans", "--send"], "--send needs DICOMweb addresses"),
        (["http://127.0.0.1:1/rs", "--engine", "ray"], "Only --engine local"),
        (["http://127.0.0.1:1/rs", "--send", "--format", "nii.gz"], "--send stores DICOM SEG"),
    ],
)
def test_what_a_batch_cannot_send(dsm_tiny, tmp_path, capsys, arguments, words):
    assert main(["batch", *arguments, "-p", "liver", "--model", str(dsm_tiny), "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
