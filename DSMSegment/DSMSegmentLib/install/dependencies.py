"""Python packages that the worker needs beyond Slicer's own: detection and installation.

Slicer's interpreter brings NumPy, SciPy and SimpleITK. PyTorch comes from the extension of that name, or, on a computer
without internet, from a folder of wheels that the user chose. `Resources/requirements.txt` lists what is needed; what
is installed already keeps its version.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import slicer

from dsm.core.local_computing import why_not_local
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.install.pip_call import (
    REQUESTER,
    InstallError,
    installedVersions,
    pipFailureSaid,
    pipInstall,
    refuseWhileInstalling,
    slicerPackaging,
)

_REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"
_TORCH = "torch"


def readRequirements(path: Path = _REQUIREMENTS) -> list[str]:
    """Return the requirements of a file, without comments."""
    packaging = slicerPackaging()
    if packaging is not None:
        return [str(requirement) for requirement in packaging.load_requirements(path)]
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def torchRange() -> str:
    """Return the supported versions of PyTorch, e.g. `">=2.6"`."""
    return next(one.removeprefix(_TORCH) for one in readRequirements() if one.startswith(_TORCH))


def missingRequirements(requirements: Sequence[str] | None = None) -> list[str]:
    """Return the entries of `requirements` (`name` or `name>=version`) not installed; None for all of ours."""
    wanted = readRequirements() if requirements is None else requirements
    packaging = slicerPackaging()
    isInstalled = _isInstalled if packaging is None else packaging.pip_check
    return [requirement for requirement in wanted if not isInstalled(requirement)]


def whyNotLocal(missing: Sequence[str]) -> str:
    """Return the reason why `missing` cannot be installed on this computer; empty where it can."""
    return why_not_local() if any(_isTorch(requirement) for requirement in missing) else ""


def loadedTorch() -> str:
    """Return the version of the PyTorch imported in this process; empty if there is none."""
    loaded = sys.modules.get(_TORCH)
    return "" if loaded is None else str(getattr(loaded, "__version__", "?"))


def installMissing() -> None:
    """Install missing packages, after asking; call it on the main thread, because pip may open windows.

    Raises:
        InstallError: If the user declined, there is no PyTorch for this system, the PyTorch extension is missing, pip
            failed, PyTorch cannot be loaded, or packages are still missing after it.
    """
    missing = missingRequirements()
    if reason := whyNotLocal(missing):
        raise InstallError(reason, hint=_("Choose a remote server in the Setup section (Segment on)."))
    _refuse(missing)
    others = [requirement for requirement in missing if not _isTorch(requirement)]
    if others:  # first, because the import of PyTorch that follows its install may fail
        _installPackages(others)
    if len(others) < len(missing):
        _installTorch()
    _checkInstalled(_("These packages are still missing: {names}."), _restartHint())


def installFromFolder(wheels: Path) -> None:
    """Install what is missing, PyTorch too, from a folder of wheels: the only way without the internet.

    Raises:
        InstallError: If pip failed, or packages are still missing after it.
    """
    version = ".".join(map(str, sys.version_info[:2]))
    hint = _("Put wheels for Python {version} and this system into it.").format(version=version)
    missing = missingRequirements()
    _refuse(missing)
    if missing:
        with pipFailureSaid(", ".join(missing), hint):
            pipInstall(["--no-index", "--find-links", str(wheels), *missing])
    _checkInstalled(_("The folder does not have what is needed: {names}."), hint)


def _refuse(missing: Sequence[str]) -> None:
    """Raise an `InstallError` if an install would break the environment."""
    refuseWhileInstalling()
    if (version := loadedTorch()) and any(_isTorch(requirement) for requirement in missing):
        # On Windows, pip would fail half-way at the files that are in use.
        raise InstallError(
            _("PyTorch {version} is loaded in this Slicer and cannot be replaced while it runs.").format(
                version=version
            ),
            hint=_("Restart Slicer, and press Install before anything else uses PyTorch."),
        )


def _installTorch() -> None:
    try:
        import PyTorchUtils
    except ImportError as error:
        raise InstallError(
            _("PyTorch is not installed."),
            hint=_("Install the extension PyTorch in the Extensions Manager and restart Slicer."),
        ) from error
    with pipFailureSaid("PyTorch", _noWheelHint()):
        try:
            logic = PyTorchUtils.PyTorchUtilsLogic()
            torch = logic.installTorch(askConfirmation=True, torchVersionRequirement=torchRange())
        except subprocess.CalledProcessError:
            raise
        except Exception as error:
            importlib.invalidate_caches()
            if missingRequirements([_TORCH + torchRange()]):
                raise
            # It ends with an import in this process, which does not need PyTorch: that is the worker's.
            raise InstallError(
                _("PyTorch was installed, but it cannot be loaded in this Slicer ({reason}).").format(
                    reason=str(error) or type(error).__name__
                ),
                hint=_restartHint(),
                details=repr(error),
            ) from error
    if torch is None:
        raise InstallError(_("PyTorch was not installed."), hint=_("Press Install again and agree."))


def _installPackages(requirements: list[str]) -> None:
    names = ", ".join(requirements)
    packaging = slicerPackaging()
    with installedVersions(butNot=requirements) as constraints:
        if packaging is not None:
            with pipFailureSaid(names):
                packaging.pip_ensure(requirements, constraints=constraints, requester=REQUESTER)
            return
        text = _("DSMSegment needs these Python packages:\n\n{names}\n\nInstall them now?")
        if not slicer.util.confirmOkCancelDisplay(text.format(names="\n".join(requirements))):
            raise InstallError(_("The packages were not installed."), hint=_("Press Install again."))
        with pipFailureSaid(names):
            pipInstall(requirements, constraints=constraints)


def _checkInstalled(message: str, hint: str) -> None:
    importlib.invalidate_caches()  # pip was another process
    if still := missingRequirements():
        raise InstallError(message.format(names=", ".join(still)), hint=hint)


def _restartHint() -> str:
    hint = _("Restart Slicer, then press Test in the Setup section; the log says what pip did.")
    if sys.platform == "win32":
        hint += " " + _("If a DLL is missing, install Microsoft's Visual C++ Redistributable.")
    return hint


def _noWheelHint() -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    return _(
        "Check the connection to the internet and the free disk space, then press Install again. If the log says that "
        "no version was found, there is no PyTorch for Python {version} on this system: let a server compute."
    ).format(version=version)


def _isTorch(requirement: str) -> bool:
    from packaging.requirements import Requirement

    return Requirement(requirement).name == _TORCH


def _isInstalled(requirement: str) -> bool:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        found = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return wanted.specifier.contains(found, prereleases=True)
