"""Registration at startup: sample volume, and Segment Editor effect."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import slicer

from DSMSegmentLib.application import tr as _

_CATEGORY = "DSMSegment"  # stays the same in every language
_MODULE = Path(__file__).resolve().parents[1]
_EFFECT = _MODULE / "DSMSegmentEffect" / "SegmentEditorTextPromptEffect.py"
# The chest CT of Slicer's own sample data, by its address and hash: what the tutorial uses.
_SAMPLE_SHA256 = "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e"
_SAMPLE_URI = f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{_SAMPLE_SHA256}"


def whenStarted(callback: Callable[[], None]) -> None:
    """Call a function once the application has started; immediately if it has."""
    window = slicer.util.mainWindow()
    if window is not None and window.visible:
        callback()
    else:
        slicer.app.startupCompleted.connect(callback)


def registerSampleData() -> None:
    """Add the tutorial volume to the module Sample Data; nothing is downloaded until the user asks for it."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # since Slicer 5.12
        logic.registerCustomSampleDataCategory(_CATEGORY, title=_("DSM Segment"))
    logic.registerCustomSampleDataSource(
        category=_CATEGORY,
        sampleName="DSMSegmentChestCT",
        thumbnailFileName=str(_MODULE / "Resources" / "Icons" / "DSMSegment.png"),
        uris=_SAMPLE_URI,
        fileNames="CT-chest.nrrd",
        checksums=f"SHA256:{_SAMPLE_SHA256}",
        nodeNames="DSMSegmentChestCT",
    )


def registerEffect() -> None:
    """Add the effect *Text prompt* to the Segment Editor."""
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource(str(_EFFECT).replace("\\", "/"))
    effect.self().register()


def reloadEffect() -> None:
    """Reload the effect in every editor that has it. Its libraries must be out of `sys.modules`."""
    module = sys.modules.pop(_EFFECT.parent.name, None)
    for effect in list(getattr(module, "EFFECTS", ())):
        effect.renew()
