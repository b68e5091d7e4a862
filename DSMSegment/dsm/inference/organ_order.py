"""Order of the organs in the body, which tells of a scan that its header mirrors or turns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dsm.core.input_note import InputNote
from dsm.core.volume import Volume, voxel_ml
from dsm.inference.anatomy import VOLUME_ML
from dsm.inference.body_box import find_body
from dsm.inference.working_grid import WorkingGrid
from dsm.models.calibration import probability
from dsm.nn.dsm_net import DSMNet, Encoding

# A trunk with the arms beside it is narrower, and the thickest patient that fits into a scanner is less deep.
_MAX_WIDTH_MM, _MAX_DEPTH_MM = 620.0, 480.0
# Centroids differ by this much at least where two organs are told apart along an axis.
_MARGIN_MM = 15.0
# Of organs in the wrong order: two or fewer are false ones, such as a liver that the network sees in a neck.
_FEWEST_PAIRS = 3
_STEP = 3  # of the features (9 mm)
_UPPER = frozenset(("liver", "spleen", "stomach", "pancreas"))
_SUREST = 0.99
_LEAST_RIGHT = 0.4  # probability that left and right are right; 0.5 tells best, and false alarms cost more
# For each axis of RAS+: pairs of which the first lies further along it, how they lie in a scan that is wrong, and why.
_ORDERS: tuple[tuple[tuple[tuple[str, str], ...], str, str], ...] = (
    (
        (("liver", "spleen"), ("liver", "stomach"), ("gallbladder", "spleen"), ("inferior vena cava", "aorta")),
        "further left than",
        "left and right may be swapped",
    ),
    (
        (
            *(
                (organ, kidney)
                for organ in ("liver", "stomach", "pancreas")
                for kidney in ("left kidney", "right kidney")
            ),
            *(("stomach", "aorta"), ("liver", "aorta"), ("heart", "aorta")),
        ),
        "further back than",
        "front and back may be swapped",
    ),
    (
        (
            *((organ, kidney) for organ in ("liver", "spleen") for kidney in ("left kidney", "right kidney")),
            *((organ, "liver") for organ in ("left lung", "right lung", "heart")),
            *(("stomach", "left kidney"), ("liver", "urinary bladder")),
        ),
        "lower than",
        "head and feet may be swapped",
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class SketchedOrgan:
    """An organ on a coarse grid.

    Args:
        centre_mm: Centroid `(3,)` in mm, RAS+, from the corner of the working grid.
        volume_ml: Its volume.
        mean_probability: Of the voxels inside, 0 to 1.
    """

    centre_mm: np.ndarray
    volume_ml: float
    mean_probability: float


def body_notes(volume: Volume) -> tuple[InputNote, ...]:
    """Return a note where the body is larger than a patient: its voxel sizes are in doubt."""
    width, depth, _ = np.ptp(find_body(volume).inner.corners @ volume.affine[:3, :3].T, axis=0)
    if width <= _MAX_WIDTH_MM and depth <= _MAX_DEPTH_MM:
        return ()
    text = (
        f"Check: the body is {width / 10:.0f} cm wide and {depth / 10:.0f} cm deep, more than a patient is: the voxel "
        "sizes may be wrong, and all volumes with them."
    )
    return (InputNote("geometry.large_body", text),)


def order_notes(centres_mm: Mapping[str, np.ndarray]) -> tuple[InputNote, ...]:
    """Return a note for each axis along which most organs lie in the wrong order; situs inversus is noted, too.

    Args:
        centres_mm: Centroids `(3,)` of organs in mm, RAS+, from any origin.
    """
    notes = []
    for axis, (pairs, how, what) in enumerate(_ORDERS):
        ahead = {
            (first, second): float(centres_mm[first][axis] - centres_mm[second][axis])
            for first, second in pairs
            if first in centres_mm and second in centres_mm
        }
        wrong = [pair for pair, mm in ahead.items() if mm < -_MARGIN_MM]
        num_right = sum(mm > _MARGIN_MM for mm in ahead.values())
        if len(wrong) >= _FEWEST_PAIRS and len(wrong) > 2 * num_right:
            first, second = wrong[0]
            notes.append(InputNote("geometry.order", f"Check: the {first} lies {how} the {second}: {what}."))
    return tuple(notes)


@torch.inference_mode()
def sketch_organs(
    net: DSMNet, encoding: Encoding, names: Sequence[str], grid: WorkingGrid, volume: Volume
) -> dict[str, SketchedOrgan]:
    """Find organs of a plausible volume by the organ queries on every third feature along each axis.

    Args:
        net: The network.
        encoding: Of the scan.
        names: Of the organ queries.
        grid: How the features lie on the scan.
        volume: The scan.
    """
    stride = grid.padded_shape[0] // encoding.embedding.shape[2]
    spacing_mm = [volume.spacing_mm[axis] for axis in grid.orientation.axes]
    sizes_mm = [_STEP * stride * step * mm for step, mm in zip(grid.step, spacing_mm, strict=True)]
    some = encoding.embedding[:, :, ::_STEP, ::_STEP, ::_STEP]
    organs = {}
    for name, logits in zip(names, net.mask_head(encoding.organ_queries, some)[0].float().cpu(), strict=True):
        inside = logits > 0
        low, high = VOLUME_ML.get(name, (np.inf, 0.0))
        volume_ml = float(np.count_nonzero(inside)) * voxel_ml(np.diag(sizes_mm))
        if low <= volume_ml <= high:
            centre_mm = np.argwhere(inside.numpy()).mean(axis=0) * sizes_mm
            organs[name] = SketchedOrgan(centre_mm, volume_ml, float(logits[inside].sigmoid().mean()))
    return organs


def laterality_features(organs: Mapping[str, SketchedOrgan]) -> tuple[float, ...] | None:
    """Return features that are larger in a scan with the right sides than in its mirror image.

    A network that knows the place of the organs marks a liver on the right of a mirrored scan, too, but a smaller one
    and with less confidence, as it does the stomach; and a larger spleen.

    Args:
        organs: Of a plausible volume.

    Returns:
        1, logits of the mean probabilities of liver and stomach, decadic logarithm of the volume of the liver over that
        of the spleen; None unless the upper abdomen is in view.
    """
    if not organs.keys() >= _UPPER:
        return None
    sure = (organs[name].mean_probability for name in ("liver", "stomach"))
    smaller = math.log10(organs["liver"].volume_ml / organs["spleen"].volume_ml)
    return 1.0, *(math.log(min(p, _SUREST) / (1 - min(p, _SUREST))) for p in sure), smaller


def laterality_notes(organs: Mapping[str, SketchedOrgan], weights: tuple[float, ...]) -> tuple[InputNote, ...]:
    """Return a note where the organs look like those of a mirrored scan.

    Args:
        organs: Of a plausible volume.
        weights: `Calibration.laterality`; empty where the model has none.
    """
    features = laterality_features(organs)
    if not weights or features is None or probability(weights, features) >= _LEAST_RIGHT:
        return ()
    text = "Check: liver, stomach and spleen look like those of a mirrored scan: left and right may be swapped."
    return (InputNote("geometry.order", text),)
