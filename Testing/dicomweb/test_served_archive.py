"""`dsm serve --archive`: a client names a series, the server fetches it, segments it and stores the result.

The tests of `server` run with a local worker and, as `make test-ray`, on a Ray cluster of this machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from dicom_series import phantom, write_series
from orthanc import SECRET, orthanc
from pydicom import dcmread
from stand_in import StandIn

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from http_server import TOKENS, Server

from dsm.cli.main import main
from dsm.client.connection import Connection
from dsm.errors import DSMError
from dsm.io.dicomweb import DicomwebServer
from dsm.io.dicomweb_access import DicomwebAccess
from dsm.io.dicomweb_address import DicomwebAddress

pytestmark = pytest.mark.xdist_group("orthanc")

ON_RAY = ("--ray", "--workers", "1")

GUESS = {"guess": True, "threshold": 0.1}  # the tiny model knows nothing


def run(connection: Connection, **body: Any) -> list[dict[str, Any]]:
    """Submit a job and return its events."""
    job = connection.call("POST", "/jobs", body=body)["job"]
    return [*connection.lines(f"/jobs/{job}/events")]


def scan_path(folder: Path) -> str:
    header = dcmread(next(folder.iterdir()), stop_before_pixels=True)
    return f"studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as address:
        yield address


@pytest.fixture(scope="module")
def scan(archive: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a series that the archive has."""
    folder = tmp_path_factory.mktemp("scan") / "ct"
    write_series(folder, voxels=phantom((20, 22, 12)))
    client = DicomwebServer(archive, DicomwebAccess(SECRET))
    for file in folder.iterdir():
        client.store(file)
    return folder


@pytest.fixture(scope="module", params=[(), pytest.param(ON_RAY, marks=pytest.mark.ray)], ids=["local", "ray"])
def server(
    archive: str, dsm_tiny: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    token_file = folder / "archive-token"
    token_file.write_text(SECRET)
    token_file.chmod(0o600)
    arguments = ["--archive", archive, "--token-file", str(token_file), "--max-volumes", "2", *request.param]
    with Server(folder, *arguments, start_timeout_s=200) as running:
        yield running.wait_until_ready(200)


def log_of(server: Server) -> str:
    """Log of the server; on Ray, that of the whole cluster."""
    return "".join(server.log) + (server.cluster_log if "--ray" in server.arguments else "")


def test_there_and_back(server: Server, archive: str, scan: Path, tmp_path: Path) -> None:
    connection = server.connection()
    assert connection.call("GET", "/capabilities")["archive"] == archive
    path = scan_path(scan)
    events = run(connection, address=path, prompts=["liver; spleen"], options=GUESS, send=True)
    assert events[-1]["type"] == "done", events[-1]
    assert {event["stage"] for event in events if event["type"] == "progress"} >= {"download", "encode"}
    found = {event["name"]: event for event in events if event["type"] == "result"}
    (stored,) = (event["address"] for event in events if event["type"] == "stored")

    # What is in the archive are the masks of the results.
    DicomwebServer(archive, DicomwebAccess(SECRET)).fetch(DicomwebAddress.parse(stored), tmp_path)
    (file,) = tmp_path.iterdir()
    segmentation = highdicom.seg.segread(file)
    assert segmentation.StudyInstanceUID in path
    labels = [segmentation.get_segment_description(number).segment_label for number in segmentation.segment_numbers]
    assert labels == [name for name, event in found.items() if event["found"]] != []
    for number, name in enumerate(labels, start=1):
        voxels = segmentation.get_volume(segment_numbers=[number], combine_segments=False).array
        assert np.count_nonzero(voxels) == found[name]["voxels"]

    # No file of the patient stays, and no token or name is in the log.
    assert [name for name in server.voxel_files if "/series/" in name] == []
    log = log_of(server)
    assert f": anna reads /{path}" in log
    assert SECRET.partition(":")[2] not in log
    assert str(dcmread(next(scan.iterdir())).PatientName) not in log


def test_the_only_series_of_a_study_and_further_prompts(server: Server, scan: Path) -> None:
    connection = server.connection()
    study = scan_path(scan).partition("/series")[0]
    job = connection.call("POST", "/jobs", body={"address": study})["job"]
    # Segmentations that other tests have stored are no scans.
    assert [*connection.lines(f"/jobs/{job}/events")][-1]["type"] == "done"
    volume = connection.call("GET", f"/jobs/{job}")["volume"]
    events = run(connection, volume=volume, prompts=["liver"], options=GUESS)
    assert [event["type"] for event in events if event["type"] != "progress"] == ["result", "done"]


def test_series_make_room_for_the_next(server: Server, scan: Path) -> None:
    for _ in range(4):  # two volumes a user
        assert run(server.connection("bert"), address=scan_path(scan), prompts=["liver"])[-1]["type"] == "done"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://127.0.0.1:{port}/elsewhere/studies/1.2/series/3.4", "dicomweb.other_server"),
        ("https://192.0.2.1/dicom-web/studies/1.2/series/3.4", "dicomweb.other_server"),
        ("http://192.0.2.1/dicom-web/studies/1.2/series/3.4", "dicomweb.no_tls"),
        ("http://name:password@127.0.0.1:{port}/dicom-web/studies/1.2", "dicomweb.address"),
        ("../system/studies/1.2/series/3.4", "dicomweb.other_server"),
        ("studies/../series/..", "dicomweb.address"),
        ("studies/1.2/series/3.4/../../../../system", "dicomweb.address"),
        ("studies?PatientID=*", "dicomweb.address"),
        ("studies", "dicomweb.address"),
        ("file:///etc/passwd", "dicomweb.other_server"),
    ],
)
def test_no_address_but_a_series_of_the_archive(server: Server, archive: str, address: str, code: str) -> None:
    port = archive.rpartition(":")[2].partition("/")[0]
    with pytest.raises(DSMError) as caught:
        run(server.connection(), address=address.format(port=port), prompts=["liver"])
    assert caught.value.code == code


@pytest.mark.parametrize(
    "body",
    [
        {"prompts": ["liver"]},
        {"volume": "v", "address": "studies/1", "prompts": ["liver"]},
        {"volume": "v", "prompts": ["liver"], "send": True},
        {"address": "studies/1", "send": True},
    ],
)
def test_jobs_that_contradict_themselves(server: Server, body: dict[str, Any]) -> None:
    with pytest.raises(DSMError) as caught:
        run(server.connection(), **body)
    assert caught.value.code == "request"


def test_what_is_not_there(server: Server) -> None:
    last = run(server.connection(), address="studies/1.2/series/3.4", prompts=["liver"])[-1]
    assert (last["type"], last["code"]) == ("error", "dicomweb.not_found")


def test_a_scan_that_cannot_be_read_is_named_by_its_address(server: Server, archive: str, tmp_path: Path) -> None:
    write_series(tmp_path / "gap", voxels=phantom((8, 8, 6)))
    files = sorted((tmp_path / "gap").iterdir())
    client = DicomwebServer(archive, DicomwebAccess(SECRET))
    for file in files[:2] + files[3:]:
        client.store(file)
    path = scan_path(tmp_path / "gap")
    last = run(server.connection(), address=path, prompts=["liver"])[-1]
    assert (last["type"], last["code"]) == ("error", "geometry.missing_slices")
    assert str(server.folder) not in str(last)


def segment(server: Server, *arguments: str) -> int:
    return main(["segment", *arguments, "-p", "liver", "--server", server.address])


def test_from_the_command_line(
    server: Server, archive: str, scan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DSM_REMOTE_TOKEN", TOKENS["anna"])
    monkeypatch.delenv("DSM_DICOMWEB_TOKEN", raising=False)  # the server's alone
    address = f"{archive}/{scan_path(scan)}"
    assert segment(server, address, "--guess", "--threshold", "0.1", "--send") == 0
    said = capsys.readouterr().out
    assert said.startswith("prompt  result")
    assert f"stored at {address.partition('/series')[0]}" in said
    assert segment(server, address.replace(archive, "https://192.0.2.1/dicom-web")) == 2
    assert "its own archive" in capsys.readouterr().err
    assert segment(server, address, "-o", "out.dcm", "--device", "cuda") == 2
    assert "--device, --output: not with --server" in capsys.readouterr().err
    monkeypatch.delenv("DSM_REMOTE_TOKEN")
    assert segment(server, address) == 2
    assert "needs a token" in capsys.readouterr().err


def test_an_archive_that_refuses_the_server(archive: str, scan: Path, dsm_tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "archive-token").write_text("dsm:wrong")
    (tmp_path / "archive-token").chmod(0o600)
    arguments = ["--archive", archive, "--token-file", str(tmp_path / "archive-token")]
    with Server(tmp_path / "server", *arguments, start_timeout_s=200) as refused:
        last = run(refused.connection(), address=scan_path(scan), prompts=["liver"])[-1]
        assert (last["code"], last["hint"]) == ("dicomweb.archive", "Ask the server's operator.")
        assert "wants a valid token" in last["text"]


def test_cancel_while_it_is_fetched(series: Path, dsm_tiny: Path, tmp_path: Path) -> None:
    with StandIn(series).running() as slow, Server(tmp_path, "--archive", slow.address, start_timeout_s=200) as server:
        slow.statuses = [503] * 3  # repeated after 0.5, 1 and 2 s
        server.wait_until_ready()
        connection = server.connection()
        body = {"address": scan_path(series), "prompts": ["liver"]}
        jobs = [connection.call("POST", "/jobs", body=body)["job"] for _ in range(4)]  # two of them wait for a thread
        for job in jobs:
            connection.call("POST", f"/jobs/{job}/cancel")
        lasts = [[*connection.lines(f"/jobs/{job}/events")][-1] for job in jobs]
        assert [last["code"] for last in lasts] == ["cancelled"] * 4
        assert connection.call("GET", f"/jobs/{jobs[3]}")["state"] == "cancelled"
        assert server.voxel_files == []


def test_a_server_without_an_archive_says_so(dsm_tiny: Path, tmp_path: Path) -> None:
    with Server(tmp_path, start_timeout_s=200) as server, pytest.raises(DSMError) as caught:
        run(server.connection(), address="studies/1.2", prompts=["liver"])
    assert caught.value.code == "dicomweb.no_archive"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--archive", "http://pacs.example/dicom-web"], "unencrypted"),
        (["--archive", "https://pacs.example/dicom-web/studies/1.2"], "whole server"),
        (["--token-file", "token"], "for an archive"),
        (["--archive", "https://pacs.example/dicom-web", "--token-file", "missing"], "cannot be read"),
    ],
)
def test_settings_that_are_wrong(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["serve", *arguments])
    except SystemExit as end:  # while the arguments are read
        code = end.code
    assert code == 2
    assert words in capsys.readouterr().err
