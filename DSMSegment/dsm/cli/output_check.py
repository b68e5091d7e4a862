"""Checks of outputs and requirements before the long work of a command begins."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from dsm.core.extras import install_hint
from dsm.errors import MissingDependencyError, OutputError
from dsm.io.free_space import free_bytes

# Written and removed again: limits on file sizes and quotas are known to nothing but a real write.
_PROBE_BYTES = 2**20


class _ProbeWrittenError(Exception):
    """Ends the writing of a probe, so that it is removed."""


def check_output(path: Path, *, suffixes: Sequence[str], num_bytes: int = 0) -> None:
    """Check that a file can be written, and leave nothing behind.

    Args:
        path: The file.
        suffixes: How its name may end.
        num_bytes: What it may take.

    Raises:
        OutputError: If the name has another end, the folder is missing or may not be written to, or the disk is full.
    """
    if not path.name.endswith(tuple(suffixes)):
        raise OutputError(
            f"{path} has no known file type.", code="output.format", hint=f"Name it {' or '.join(suffixes)}."
        )
    if path.exists() and not path.is_file() and not path.is_dir():
        # A finished file is renamed to this name: that would replace a device such as /dev/null.
        raise OutputError(f"{path} is not a file but a device or a pipe.", code="output", hint="Choose another name.")
    from dsm.io.atomic import atomic_output

    try:
        with atomic_output(path) as part:
            part.write_bytes(bytes(_PROBE_BYTES))
            raise _ProbeWrittenError
    except _ProbeWrittenError:
        check_space(path, num_bytes)


def check_space(path: Path, num_bytes: int) -> None:
    """Check that the disk of `path` has room.

    Raises:
        OutputError: If it has not.
    """
    free = free_bytes(path.resolve().parent)
    if free < num_bytes:
        raise OutputError(
            f"{path} may take {num_bytes / 1e6:.0f} MB; {free / 1e6:.0f} MB are free.",
            code="disk_full",
            hint="Free some space or choose another folder.",
        )


def check_output_folder(path: Path) -> None:
    """Check that files can be written into a folder, which need not exist yet; its parent must.

    Raises:
        OutputError: If they cannot.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file.", code="output.is_file", hint="Give the name of a folder.")
    probe = path / "probe.tmp" if path.is_dir() else path.parent / f"{path.name}.tmp"
    check_output(probe, suffixes=(".tmp",))


def check_distinct(outputs: Sequence[tuple[str, Path]], inputs: Sequence[Path]) -> None:
    """Check that no output replaces an input or another output.

    Paths are compared as files: links, different spellings and systems that ignore case are seen through.

    Args:
        outputs: What each is, as the user asked for it (e.g. `"--report"`), and its path.
        inputs: The files that are read.

    Raises:
        OutputError: If two of them are one file.
    """
    taken = {_identity(path): "the input" for path in inputs}
    for what, path in outputs:
        other = taken.setdefault(_identity(path), what)
        if other == "the input":
            raise OutputError(
                f"{path} ({what}) is the input, which would be replaced.",
                code="output.is_input",
                hint="Choose another name.",
            )
        if other != what:
            raise OutputError(
                f"{other} and {what} would both be written to {path}.",
                code="output.twice",
                hint="Choose another name or folder for one of them.",
            )


def _identity(path: Path) -> tuple[int, int] | str:
    try:
        status = path.stat()
    except OSError:
        return str(path.resolve()).casefold()
    return status.st_dev, status.st_ino


def require_package(name: str, *, extra: str) -> None:
    """Check that an optional package is there, without importing it.

    Raises:
        MissingDependencyError: If it is not.
    """
    if find_spec(name) is None:
        raise MissingDependencyError(
            f"This command needs the package {name}.",
            hint=install_hint(extra),
        )
