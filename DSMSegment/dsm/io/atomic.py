"""Output files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dsm.errors import DSMError, OutputError
from dsm.io.free_space import free_bytes

# Of files that are being written; one that stays was left by a process that was killed.
PART_PREFIX = ".dsm-part-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}

# Less free space than this after a failed write means that the disk is full: libraries in C say only "write failed".
_FULL_BYTES = 1 << 16


@contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, else remove it.

    The temporary file is in the same folder, because a rename is atomic only within one file system, and keeps the
    suffixes, because writers choose the format by them. It is created before the block runs, so a folder that cannot be
    written to is reported before any work is done. A file that was there before stays untouched until the rename.

    Args:
        path: The file to write.

    Yields:
        The path to write to; an empty file.

    Raises:
        OutputError: If the folder is missing (`output.no_folder`), `path` is a folder (`output.is_folder`) or a device
            (`output.not_a_file`), writing is not allowed (`output.permission`), the disk is full (`disk_full`), or
            writing fails otherwise (`output`). Errors of the block that have nothing to do with writing pass through.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_output(Path(folder) / "a.txt") as part:
        ...         _ = part.write_text("whole")
        ...     (Path(folder) / "a.txt").read_text()
        'whole'
    """
    target = _checked_target(path)
    part = _part_of(target)
    try:
        _create(part, target)
        yield part
        _flush(part)
        part.replace(target)
    except DSMError:
        raise
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in (part, target):
            raise
        raise _output_error(error, target) from error
    except Exception as error:
        if _is_full(target.parent):
            raise _output_error(OSError(errno.ENOSPC, str(error)), target) from error
        raise
    finally:
        # Also on KeyboardInterrupt, which may come as soon as the file is there. After the rename there is nothing left
        # to remove.
        _remove(part)


def _checked_target(path: str | os.PathLike[str]) -> Path:
    """Follow links, so that a linked file is replaced and not its link, and refuse what cannot become a file."""
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    except OSError as error:  # for example a name that is too long
        raise _output_error(error, target) from error
    if mode is not None and stat.S_ISDIR(mode):
        raise OutputError(f"{path} is a folder.", code="output.is_folder", hint="Give the name of a file in it.")
    if mode is not None and not stat.S_ISREG(mode):
        # A rename would replace /dev/null itself.
        raise OutputError(f"{path} is a device or a pipe.", code="output.not_a_file", hint="Give the name of a file.")
    if not target.parent.is_dir():
        raise OutputError(
            f"The folder {target.parent} does not exist.", code="output.no_folder", hint="Create it or choose another."
        )
    if mode is not None and not os.access(target, os.W_OK):
        raise _output_error(PermissionError(errno.EACCES, "the file is read-only"), target)
    return target


def _part_of(target: Path) -> Path:
    # A short name of our own: the target's with an addition could exceed the longest name that is allowed.
    return target.with_name(f"{PART_PREFIX}{secrets.token_hex(6)}{''.join(target.suffixes[-2:])}")


def _create(part: Path, target: Path) -> None:
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise _output_error(error, target) from error


def _remove(part: Path) -> None:
    if part.exists():  # a file system that is read-only complains of the removal of a file that is not there
        part.unlink(missing_ok=True)


def _flush(part: Path) -> None:
    """Force the data to the disk, where some file systems notice only now that they are full."""
    descriptor = os.open(part, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_full(folder: Path) -> bool:
    with suppress(OSError):
        return free_bytes(folder) < _FULL_BYTES
    return False


def _output_error(error: OSError, target: Path) -> OutputError:
    why = error.strerror or str(error)
    if error.errno in _FULL:
        return OutputError(
            f"{target} was not written: the disk is full or the quota is used up.",
            code="disk_full",
            hint="Free some space or choose another folder.",
            details=why,
        )
    if error.errno in _FORBIDDEN:
        return OutputError(
            f"{target} cannot be written: no permission ({why}).",
            code="output.permission",
            hint="Choose a folder that you may write to.",
        )
    return OutputError(f"{target} cannot be written: {why}.", hint="Choose another file or folder.")
