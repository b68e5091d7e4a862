"""Volume that a clicked object is expected to have by its name.

It is another number than the typical volume of a model's calibration (`dsm.models.calibration`), on purpose:

- It is that of one object, a clicked lesion, and the calibration's that of all that has the name in a scan: 2.6 and
  6.7 ml of liver tumor.
- It serves any model, and names that no model has learned. The calibration's belongs to the weights that were fitted
  with it, and changes with them alone.
- It comes from training cases and from plausible ranges, the calibration's from validation cases, on which clicks are
  evaluated.
"""

from __future__ import annotations

import math

from dsm.inference.anatomy import VOLUME_ML

# Geometric means of the parts of at least 0.3 ml in training cases of at least five patients (docs/adr/0040).
_LESION_ML = {"brain tumor": 39.0, "liver tumor": 2.6, "soft tissue sarcoma": 220.0}
# Standard deviation of the logarithm: 1.1 to 1.3 in these lesions.
_SPREAD = 1.5


def expected_ml(name: str) -> float | None:
    """Return the middle of the volumes that objects of a name have in ml; None where that is not known."""
    if name in VOLUME_ML:
        return math.sqrt(math.prod(VOLUME_ML[name]))
    return _LESION_ML.get(name)


def surprise(volume_ml: float, expected: float | None) -> float:
    """Return how much less likely a volume is than the expected one, from 1 up, as a log-normal distribution says.

    Args:
        volume_ml: Above 0.
        expected: From `expected_ml`.
    """
    return 1.0 if expected is None else math.exp(0.5 * (math.log(volume_ml / expected) / _SPREAD) ** 2)
