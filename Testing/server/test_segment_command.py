"""`dsm segment --server` with a scan of this computer: the files of a local run, after consent."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from http_server import TOKENS, Server, phantom

from dsm.cli.main import main
from dsm.core.boxes import CroppedArray
from dsm.io.nifti import write_nifti

pytestmark = pytest.mark.xdist_group("server")

AFFINE = np.array([[3, 0, 0, -70], [0, 3, 0, -60], [0, 0, 3, 10], [0, 0, 0, 1.0]])
PROMPTS = ("-p", "liver; kidneys; schwannoma", "--guess", "--threshold", "0.1")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    array = phantom()
    write_nifti(path, CroppedArray(array, (0, 0, 0)), array.shape, AFFINE)
    return path


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSM_REMOTE_TOKEN", TOKENS["anna"])


class Terminal(io.StringIO):
    """Standard input with a person at it."""

    def isatty(self) -> bool:
        return True


def uploads(server: Server) -> int:
    return sum("POST /volumes " in line for line in server.log)


def on_server(server: Server, scan: Path, *arguments: str) -> int:
    return main(["segment", str(scan), *PROMPTS, "--server", server.address, *arguments])


def voxels(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def test_files_equal_those_of_a_local_run(
    server: Server, scan: Path, tmp_path: Path, dsm_tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    maps = [("--probabilities", str(folder / "maps"), "--report", str(folder / "run.json")) for folder in (here, there)]
    local = ["--model", str(dsm_tiny), "--precision", "float32", "-o", str(here / "out.nii.gz")]
    assert main(["segment", str(scan), *PROMPTS, *local, *maps[0]]) == 0
    table = capsys.readouterr().out
    assert on_server(server, scan, "--yes", "-o", str(there / "out.nii.gz"), *maps[1]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert [line.split("  ")[0] for line in said.out.splitlines()] == [
        line.split("  ")[0] for line in table.splitlines()
    ]

    assert voxels(here / "out.nii.gz").any()
    assert np.array_equal(voxels(here / "out.nii.gz"), voxels(there / "out.nii.gz"))
    names = sorted(path.name for path in (here / "maps").iterdir())
    assert names == sorted(path.name for path in (there / "maps").iterdir()) != []
    for name in names:
        assert np.array_equal(voxels(here / "maps" / name), voxels(there / "maps" / name))
    assert server.voxel_files == []  # the scan does not stay there

    reports = [json.loads((folder / "run.json").read_text()) for folder in (here, there)]
    assert reports[1]["device"] == server.address
    assert reports[1]["model"] == reports[0]["model"]
    assert "torch" not in reports[1]["versions"]
    assert (reports[1]["precision"], reports[1]["seconds"]["encode"]) == (None, None)
    measured = ("score", "volume_ml", "threshold", "found", "name", "warnings")
    numbers = [[{key: prompt[key] for key in measured} for prompt in report["prompts"]] for report in reports]
    assert numbers[0] == numbers[1]


def test_pytorch_is_not_needed(server: Server, scan: Path, tmp_path: Path) -> None:
    arguments = [
        "segment",
        str(scan),
        *PROMPTS,
        "--server",
        server.address,
        "--yes",
        "-o",
        str(tmp_path / "out.seg.nrrd"),
    ]
    program = f"import sys; sys.modules['torch'] = None; from dsm.cli.main import main; sys.exit(main({arguments}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=250, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.seg.nrrd").is_file()


def test_unsupported_clicks_are_refused_before_upload(
    server: Server, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = uploads(server)
    click = ("--click", "schwannoma=-4,0,64")
    assert on_server(server, scan, *click, "--yes", "-o", str(tmp_path / "out.seg.nrrd")) == 2
    assert "dsm-tiny" in capsys.readouterr().err  # it has no network for clicks
    assert uploads(server) == before


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("\n", 2), ("", 2), ("y\n", 0), ("Yes\n", 0)])
def test_nothing_is_sent_without_consent(
    server: Server,
    scan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    code: int,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    before = uploads(server)
    assert on_server(server, scan, "-o", str(tmp_path / "out.seg.nrrd")) == code
    said = capsys.readouterr().err
    assert f"To {server.address} are sent: its voxels" in said
    assert ("Nothing was sent" in said) == (code == 2)
    assert uploads(server) == before + (code == 0)
    assert (tmp_path / "out.seg.nrrd").exists() == (code == 0)


def test_consent_without_a_terminal_needs_an_option(
    server: Server, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    before = uploads(server)
    assert on_server(server, scan, "-o", str(tmp_path / "out.seg.nrrd")) == 2
    assert "--yes" in capsys.readouterr().err
    assert uploads(server) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--device", "cuda", "--precision", "int8", "--seed", "3"],
            "--device, --precision, --seed: not with --server",
        ),
        (["--model", "other"], "--model: not with --server"),
        (["--estimate"], "--estimate: not with --server"),
        (["--send"], "needs the DICOMweb address"),
    ],
)
def test_options_without_effect_are_refused(
    server: Server,
    scan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert on_server(server, scan, "--yes", "-o", str(tmp_path / "out.seg.nrrd"), *arguments) == 2
    assert words in capsys.readouterr().err


def test_other_machine_requires_encryption(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = ("--server", "http://192.0.2.7:8470", "--yes")
    assert main(["segment", str(scan), *PROMPTS, *there, "-o", str(tmp_path / "out.seg.nrrd")]) == 2
    assert "192.0.2.7 unencrypted" in capsys.readouterr().err


def test_missing_token_is_refused(
    server: Server, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DSM_REMOTE_TOKEN")
    assert on_server(server, scan, "--yes", "-o", str(tmp_path / "out.seg.nrrd")) == 2
    assert "needs a token" in capsys.readouterr().err
