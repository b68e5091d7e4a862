"""Cells of a list of lesions, in the panel and on the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsm.inference.lesion_list import MeasuredLesion


def diametersText(lesion: MeasuredLesion) -> str:
    """Return the longest diameter and the one perpendicular to it in mm, e.g. `"34 × 21"`."""
    return f"{lesion.longest_mm:.0f} \N{MULTIPLICATION SIGN} {lesion.perpendicular_mm:.0f}"


def lesionVolumeText(lesion: MeasuredLesion) -> str:
    """Return the volume in ml; of a small lesion with two significant digits."""
    return f"{lesion.volume_ml:.1f}" if lesion.volume_ml >= 0.1 else f"{lesion.volume_ml:.2g}"


def intensityText(lesion: MeasuredLesion, *, isCT: bool) -> str:
    """Return mean and standard deviation of the intensity, HU in CT; a dash where there is none."""
    if math.isnan(lesion.mean):
        return "\N{EN DASH}"
    digits = ".0f" if isCT else ".3g"
    return f"{lesion.mean:{digits}} ± {lesion.sd:{digits}}"
