from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dsm.errors import JobCancelled, OutputError
from dsm.io import atomic
from dsm.io.atomic import atomic_output


def test_file_is_written_atomically(tmp_path: Path) -> None:
    target = tmp_path / "a.b.nii.gz"
    with atomic_output(target) as part:
        assert part.parent == tmp_path
        assert part.name.endswith(".nii.gz")
        part.write_bytes(b"new")
        assert not target.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["a.b.nii.gz"]
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, JobCancelled])
def test_failure_leaves_no_partial_file_and_keeps_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.nrrd"
    target.write_bytes(b"old")

    def stop_half_way() -> None:
        with atomic_output(target) as part:
            part.write_bytes(b"half")
            raise error("stop")

    with pytest.raises(error):
        stop_half_way()
    assert [file.name for file in tmp_path.iterdir()] == ["a.nrrd"]
    assert target.read_bytes() == b"old"


def test_ctrl_c_after_creating_the_file_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        os.closerange(descriptor, descriptor + 1)
        assert list(tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_output(tmp_path / "a.nrrd").__enter__()
    assert not list(tmp_path.iterdir())


def test_target_of_a_symlink_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "a.txt"
    target.write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    with atomic_output(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_file_name_of_maximum_length(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 248 + ".nii.gz")
    with atomic_output(target) as part:
        part.write_bytes(b"1")
    assert target.exists()


def write_to_full_device(part: Path) -> None:
    part.write_bytes(b"half")
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")


def fail_as_a_library_does(part: Path) -> None:
    raise RuntimeError("write failed")


def write_beyond_the_quota(part: Path) -> None:
    raise OSError(errno.EDQUOT, "Disk quota exceeded")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("write", [write_to_full_device, write_beyond_the_quota, fail_as_a_library_does])
def test_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]) -> None:
    if write is fail_as_a_library_does:
        monkeypatch.setattr(atomic, "_FULL_BYTES", 1 << 62)
    with pytest.raises(OutputError) as caught, atomic_output(tmp_path / "a.nrrd") as part:
        write(part)
    assert caught.value.code == "disk_full"
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_exceptions_of_the_block_propagate(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_output(tmp_path / "a.nrrd"):
        (tmp_path / "other input").read_bytes()
    with pytest.raises(RuntimeError), atomic_output(tmp_path / "a.nrrd"):
        raise RuntimeError("not about writing")


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda folder: folder / "missing" / "a.nrrd", "output.no_folder"),
        (lambda folder: make_folder(folder / "a.nrrd"), "output.is_folder"),
        (lambda folder: folder / ("x" * 300), "output"),
        pytest.param(
            lambda folder: make_pipe(folder / "a.nrrd"),
            "output.not_a_file",
            marks=pytest.mark.skipif(os.name != "posix", reason="named pipes"),
        ),
    ],
)
def test_unwritable_target_is_refused_before_the_block(tmp_path: Path, make: Callable[[Path], Path], code: str) -> None:
    target = make(tmp_path)
    with pytest.raises(OutputError) as caught:
        atomic_output(target).__enter__()
    assert caught.value.code == code
    assert str(tmp_path) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_folder_without_permission_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    # Made up, because the tests may run as root, whom no permission stops.
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError) as caught:
        atomic_output(tmp_path / "a.nrrd").__enter__()
    assert caught.value.code == "output.permission"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_and_file_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "a.nrrd"
    target.write_bytes(b"old")
    target.chmod(0o400)
    with pytest.raises(OutputError, match="permission"):
        atomic_output(target).__enter__()
    target.chmod(0o600)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="permission"):
            atomic_output(target).__enter__()
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_in_a_real_process_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom dsm.io.atomic import atomic_output\n"
        "with atomic_output(sys.argv[1]) as part:\n    part.write_bytes(b'half')\n    print('now', flush=True)\n"
        "    time.sleep(60)\n"
    )
    engine = Path(atomic.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "a.nrrd")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(engine)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"now"
        assert len(list(tmp_path.iterdir())) == 1
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0
        assert time.monotonic() - started < 20
    assert not list(tmp_path.iterdir())
