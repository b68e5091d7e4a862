"""Full and read-only disks: each writer reports a typed error and leaves the folder unchanged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("highdicom")
pytest.importorskip("PIL")

pytestmark = pytest.mark.xdist_group("disk")  # in one test process, which makes its fixtures once

_WRITERS = Path(__file__).with_name("writers.py")
_NAMES = ("seg.nrrd", "nii.gz", "dcm", "rtstruct.dcm", "probabilities", "outcome", "table", "thumbnail", "pages")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A thumbnail of which the contact sheets are made."""
    import numpy as np
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (264, 440, 3)).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def errors_by_writer() -> Iterator[Callable[..., dict[str, str]]]:
    """Return a function that gives the error code of each writer where a file may have at most `limit` bytes.

    In one process for all tests: to import what writes takes seconds.
    """
    command = [sys.executable, str(_WRITERS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:

        def ask(folder: Path, series: Path, picture: Path, *, limit: int = 0) -> dict[str, str]:
            process.stdin.write(json.dumps([*map(str, (folder, series, picture)), limit]) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, process.stderr.read()
            codes: dict[str, str] = json.loads(answer)
            return codes

        yield ask


@pytest.mark.parametrize("limit", [1, 700, 4000])
def test_writers_leave_no_partial_file_at_a_size_limit(
    errors_by_writer: Callable[..., dict[str, str]], tmp_path: Path, series: Path, picture: Path, limit: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    codes = errors_by_writer(out, series, picture, limit=limit)
    assert codes == dict.fromkeys(_NAMES, "disk_full")
    assert not list(out.iterdir())


def test_writers_succeed_without_a_size_limit(
    errors_by_writer: Callable[..., dict[str, str]], tmp_path: Path, series: Path, picture: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert errors_by_writer(out, series, picture) == dict.fromkeys(_NAMES, "written")


def test_writers_keep_existing_files_on_a_full_disk(
    errors_by_writer: Callable[..., dict[str, str]], small_disk: Path, series: Path, picture: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes(240 * 1024))
    (small_disk / "out.seg.nrrd").write_text("an earlier result")
    codes = errors_by_writer(small_disk, series, picture)
    assert codes == dict.fromkeys(_NAMES, "disk_full")
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "out.seg.nrrd"]
    assert (small_disk / "out.seg.nrrd").read_text() == "an earlier result"


def test_writers_refuse_a_read_only_disk(
    errors_by_writer: Callable[..., dict[str, str]], read_only_disk: Path, series: Path, picture: Path
) -> None:
    assert errors_by_writer(read_only_disk, series, picture) == dict.fromkeys(_NAMES, "output.permission")
    assert (read_only_disk / "old.seg.nrrd").read_text() == "old"


def test_cohort_stops_on_a_full_disk_and_continues_elsewhere(small_disk: Path, tmp_path: Path, dsm_tiny: Path) -> None:
    from batch_process import command, environment
    from dicom_series import write_series

    root = tmp_path / "scans"
    for n in range(3):
        write_series(root / str(n))
    done = subprocess.run(
        command(root, small_disk / "out"), env=environment(), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "disk" in done.stderr
    assert "full" in done.stderr
    assert not list(small_disk.rglob(".dsm-part-*"))
    assert not (small_disk / "out" / ".work").exists()
    # Continued elsewhere, where there is room.
    shutil.copytree(small_disk / "out", tmp_path / "out")
    again = subprocess.run(
        command(root, tmp_path / "out"), env=environment(), capture_output=True, text=True, timeout=200, check=False
    )
    assert again.returncode == 0, again.stderr


def test_cohort_refuses_a_read_only_output_folder(read_only_disk: Path, series: Path, dsm_tiny: Path) -> None:
    from batch_process import command, environment

    done = subprocess.run(
        command(series, read_only_disk / "out"), env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, "cannot be made" in done.stderr) == (2, True), done.stderr
