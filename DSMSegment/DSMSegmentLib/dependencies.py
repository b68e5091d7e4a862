"""Python packages that the worker needs beyond Slicer's own: which are missing, and how they are installed.

Slicer's interpreter brings NumPy, SciPy and SimpleITK. PyTorch comes from the extension of that name, or, on a computer
without internet, from a folder of wheels that the user chose; the rest is in `Resources/requirements.txt`, small enough
that pip has no reason to touch what Slicer has.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer

from dsm.errors import DSMError
from DSMSegmentLib.application import tr as _

# The one place that says which PyTorch; a contract test holds pyproject.toml to it.
TORCH_RANGE = ">=2.6"
_REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([\d.]+))?")


class InstallError(DSMError):
    """Packages could not be installed."""

    code = "install"


def readRequirements(path: Path = _REQUIREMENTS) -> list[str]:
    """Return the requirements of a file, without comments."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def missingRequirements(requirements: Sequence[str] | None = None) -> list[str]:
    """Return those of `requirements` (`name` or `name>=version`) that are not installed; None for all that we need."""
    wanted = [f"torch{TORCH_RANGE}", *readRequirements()] if requirements is None else requirements
    return [requirement for requirement in wanted if not _isInstalled(requirement)]


def installMissing() -> None:
    """Install what is missing, after asking; call it on the main thread, because pip may open windows.

    Raises:
        InstallError: If the user declined, the PyTorch extension is missing, pip failed, or packages are still missing
            after it.
    """
    missing = missingRequirements()
    if any(requirement.startswith("torch") for requirement in missing):
        _installTorch()
    others = [requirement for requirement in missing if not requirement.startswith("torch")]
    if others:
        _installPackages(others)
    if still := missingRequirements():
        raise InstallError(
            _("These packages are still missing: {names}.").format(names=", ".join(still)),
            hint=_("Restart Slicer and try again; the log above says what pip did."),
        )


def installFromFolder(wheels: Path) -> None:
    """Install what is missing, PyTorch too, from a folder of wheels: the only way without the internet.

    Raises:
        InstallError: If pip failed, or packages are still missing after it.
    """
    version = ".".join(map(str, sys.version_info[:2]))
    hint = _("Put wheels for Python {version} and this system into it.").format(version=version)
    for requirement in missingRequirements():
        with pipFailureSaid(requirement, hint):
            slicer.util.pip_install(f'--no-index --find-links "{wheels}" "{requirement}"')
    if still := missingRequirements():
        raise InstallError(
            _("The folder does not have what is needed: {names}.").format(names=", ".join(still)), hint=hint
        )


@contextmanager
def pipFailureSaid(names: str, hint: str = "") -> Iterator[None]:
    """Make what Slicer's pip functions raise an `InstallError`: these name the command, and nobody catches them."""
    try:
        yield
    except subprocess.CalledProcessError as error:
        raise InstallError(
            _("pip could not install {names} (exit status {status}).").format(names=names, status=error.returncode),
            hint=hint or _("Check the connection to the internet and the free disk space, then press Install again."),
            details=str(error),
        ) from error
    except RuntimeError as error:  # the user declined, or there is no interpreter to run pip with
        raise InstallError(
            _("{names} was not installed ({reason}).").format(names=names, reason=error), hint=_("Press Install again.")
        ) from error


def _installTorch() -> None:
    try:
        import PyTorchUtils
    except ImportError as error:
        raise InstallError(
            _("PyTorch is not installed."),
            hint=_("Install the extension PyTorch in the Extensions Manager and restart Slicer."),
        ) from error
    logic = PyTorchUtils.PyTorchUtilsLogic()
    with pipFailureSaid("PyTorch"):
        torch = logic.installTorch(askConfirmation=True, torchVersionRequirement=TORCH_RANGE)
    if torch is None:
        raise InstallError(_("PyTorch was not installed."), hint=_("Press Install again and agree."))


def _installPackages(requirements: list[str]) -> None:
    names = ", ".join(requirements)
    pipEnsure = _pipEnsure()
    if pipEnsure is not None:
        from packaging.requirements import Requirement

        with pipFailureSaid(names):
            pipEnsure([Requirement(one) for one in requirements], requester="DSMSegment")
        return
    text = _("DSMSegment needs these Python packages:\n\n{names}\n\nInstall them now?")
    if not slicer.util.confirmOkCancelDisplay(text.format(names="\n".join(requirements))):
        raise InstallError(_("The packages were not installed."), hint=_("Press Install again."))
    for requirement in requirements:
        # Nothing that Slicer has may be replaced: the list is closed.
        with pipFailureSaid(requirement):
            slicer.util.pip_install(f'--no-deps "{requirement}"')


def _pipEnsure() -> Any:
    """Return Slicer's function that asks, shows the progress and offers a restart; None before Slicer 5.12."""
    try:
        from slicer.pydeps import pip_ensure
    except ImportError:
        try:
            from slicer.packaging import pip_ensure  # its name in 5.12
        except ImportError:
            return None
    return pip_ensure


def _isInstalled(requirement: str) -> bool:
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        raise ValueError(f"{requirement!r} is no requirement of the form name>=version")
    try:
        found = importlib.metadata.version(match[1])
    except importlib.metadata.PackageNotFoundError:
        return False
    return match[2] is None or _numbers(found) >= _numbers(match[2])


def _numbers(version: str) -> list[int]:
    """Return `[2, 13]` for `"2.13.0+cpu"`: as many numbers as tell versions of one package apart."""
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:2]]
