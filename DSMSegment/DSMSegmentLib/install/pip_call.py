r"""Calls of pip through Slicer: argument lists, pinned versions, readable errors.

Slicer splits a string of arguments as a POSIX shell does, which takes backslashes out of `\\server\share` and fails at
`D:\`. A list is passed on as it is, by Slicer 5.10 (`slicer.util.pip_install`) and later ones (`slicer.packaging`).
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer

from dsm.errors import DSMError
from DSMSegmentLib.application import tr as _

REQUESTER = "DSMSegment"
_VERSION = re.compile(r"\d[\w.!+]*")


class InstallError(DSMError):
    """Packages could not be installed."""

    code = "install"


def slicerPackaging() -> Any:
    """Return Slicer's packaging module; None before Slicer 5.12."""
    try:
        from slicer import packaging
    except ImportError:
        return None
    return packaging


def refuseWhileInstalling() -> None:
    """Raise if another install is running; call before an install.

    Raises:
        InstallError: If another module's install is still going on in the background.
    """
    packaging = slicerPackaging()
    if packaging is not None and packaging.isPipInstallInProgress():
        raise InstallError(
            _("Another module is installing Python packages at this moment; two installs at a time can damage both."),
            hint=_("Wait until it is done, then press Install again."),
        )


def pipInstall(
    arguments: Sequence[str], *, withoutDependencies: Sequence[str] = (), constraints: Path | None = None
) -> None:
    """Run pip and wait for it; call it on the main thread, because it may open windows.

    Args:
        arguments: Options and requirements, one a string, without quotes.
        withoutDependencies: Requirements that are installed first, without what they need.
        constraints: File of the versions that pip may take.

    Raises:
        subprocess.CalledProcessError: If pip failed.
    """
    packaging = slicerPackaging()
    if packaging is not None:
        first = {"no_deps_requirements": list(withoutDependencies)} if arguments and withoutDependencies else {}
        rest = list(arguments) or [*withoutDependencies, "--no-deps"]
        packaging.pip_install(rest, constraints=constraints, requester=REQUESTER, **first)
        return
    if withoutDependencies:
        slicer.util.pip_install([*withoutDependencies, "--no-deps"])
    if arguments:
        options = [] if constraints is None else ["--constraint", str(constraints)]
        slicer.util.pip_install([*arguments, *options])


@contextmanager
def installedVersions(butNot: Sequence[str]) -> Iterator[Path]:
    """Write a constraints file that pins all installed versions.

    Args:
        butNot: Requirements whose packages may be replaced.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    wanted = {canonicalize_name(Requirement(one).name) for one in butNot}
    found = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions() if one.metadata["Name"]}
    lines = sorted(
        f"{name}=={version}"
        for name, version in found.items()
        # One line that pip cannot read would be the end of the whole install.
        if _VERSION.fullmatch(version) and canonicalize_name(name) not in wanted
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "installed.txt"
        path.write_text("\n".join(lines), encoding="utf-8")
        yield path


@contextmanager
def pipFailureSaid(names: str, hint: str = "") -> Iterator[None]:
    """Convert any failure of Slicer's packaging functions to an `InstallError`.

    Args:
        names: Packages to install.
        hint: Advice for the user if pip failed; empty for the usual.
    """
    try:
        yield
    except InstallError:
        raise
    except subprocess.CalledProcessError as error:
        raise InstallError(
            _("pip could not install {names} (exit status {status}).").format(names=names, status=error.returncode),
            hint=hint or _("Check the connection to the internet and the free disk space, then press Install again."),
            details=str(error),
        ) from error
    except Exception as error:  # the user declined, there is no interpreter to run pip with, a folder is read-only, ...
        raise InstallError(
            _("{names} was not installed ({reason}).").format(names=names, reason=str(error) or type(error).__name__),
            hint=_("Press Install again."),
            details=repr(error),
        ) from error
