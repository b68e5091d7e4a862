"""Plausibility of a mask as the structure that it is called: volume, side, density, overlap with other structures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dsm.core.boxes import Box, CroppedArray
from dsm.core.volume import Volume
from dsm.inference.body_box import find_body

# Volumes (ml) outside of which a structure of an adult is not plausible. The smallest and largest of complete
# annotations in the data sets of the model card, widened twofold at least, and further where disease is known to widen
# them: splenomegaly, polycystic kidneys, dilated heart, aneurysm, full bladder, resections.
VOLUME_ML: Mapping[str, tuple[float, float]] = {
    "anterior hippocampus": (0.3, 6),
    "aorta": (10, 900),
    "brain": (600, 2200),
    "brainstem": (8, 70),
    "colon": (80, 4000),
    "duodenum": (8, 300),
    "esophagus": (2, 150),
    "gallbladder": (1, 350),
    "heart": (200, 2500),
    "inferior vena cava": (8, 450),
    "larynx": (2, 100),
    "left adrenal gland": (0.5, 40),
    "left atrium": (8, 500),
    "left femoral head": (15, 300),
    "left kidney": (15, 1500),
    "left lung": (200, 5500),
    "left parotid gland": (2, 120),
    "left ventricle": (8, 600),
    "liver": (400, 6000),
    "mandible": (15, 200),
    "myocardium": (30, 600),
    "pancreas": (8, 350),
    "portal vein and splenic vein": (4, 300),
    "posterior hippocampus": (0.3, 6),
    "prostate": (5, 400),
    "rectum": (5, 600),
    "right adrenal gland": (0.5, 40),
    "right femoral head": (15, 300),
    "right kidney": (15, 1500),
    "right lung": (200, 5500),
    "right parotid gland": (2, 120),
    "right ventricle": (5, 600),
    "small intestine": (100, 4500),
    "spinal cord": (3, 130),
    "spleen": (10, 6000),
    "stomach": (20, 3500),
    "urinary bladder": (5, 2500),
}

# Median density (HU) outside of which a structure is not plausible in CT, native or with contrast, fatty or siderotic;
# calcified, stented and air-filled ones have no entry.
_SOFT, _VESSEL = (-40.0, 280.0), (-20.0, 700.0)
MEDIAN_HU: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("liver", "spleen", "prostate", "brain", "brainstem", "spinal cord", "gallbladder"), _SOFT),
    **dict.fromkeys(("left adrenal gland", "right adrenal gland", "pancreas"), (-60.0, 280.0)),
    **dict.fromkeys(("left kidney", "right kidney", "myocardium"), (-20.0, 450.0)),
    **dict.fromkeys(("aorta", "inferior vena cava", "portal vein and splenic vein", "heart"), _VESSEL),
    **dict.fromkeys(("left atrium", "left ventricle", "right ventricle"), _VESSEL),
    **dict.fromkeys(("left lung", "right lung"), (-1000.0, -250.0)),
    **dict.fromkeys(("left femoral head", "right femoral head", "mandible"), (80.0, 1800.0)),
}

# Side of the body, +1 left and -1 right, of structures whose name does not say it. Situs inversus is flagged, too.
_SIDE = {"liver": -1, "gallbladder": -1, "spleen": 1}
_SIDE_MARGIN_MM = 15.0  # of the centre of mass beyond the middle of the body
WIDE_BODY_MM = 220.0  # a narrower image may show one side of the body alone
_WHOLES = {  # structures that hold others of the table
    "brain": {"anterior hippocampus", "posterior hippocampus", "brainstem"},
    "heart": {"left atrium", "left ventricle", "right ventricle", "myocardium", "aorta"},
}
_MOST = 0.5
_CUT_MM = 3.0  # two working voxels
_CENTROID_VOXELS = 200_000  # of a bounding box; of a larger one a regular sample serves


@dataclass(frozen=True, slots=True)
class _Finding:
    name: str
    mask: CroppedArray
    voxels: int  # inside


class AnatomyCheck:
    """Check the masks of one scan, one after another.

    Args:
        volume: The scan; masks are on its grid. Its affine leads to RAS+, so that left is negative.
        encoded: Voxels that were looked at; a mask that ends with them may be cut.
    """

    def __init__(self, volume: Volume, encoded: Box) -> None:
        self._volume = volume
        self._encoded = encoded
        self._findings: list[_Finding] = []

    @cached_property
    def _middle_mm(self) -> float | None:
        return _middle_of_body(self._volume)

    def __call__(self, name: str, mask: CroppedArray, volume_ml: float) -> tuple[str, ...]:
        """Return one sentence for each implausibility of a mask.

        Args:
            name: Structure of the vocabulary; one without known anatomy is not checked.
            mask: uint8, 1 inside, on the grid of the scan; not empty.
            volume_ml: Its volume.
        """
        flags = (
            self._volume_flags(name, mask, volume_ml) + self._side_flags(name, mask) + self._density_flags(name, mask)
        )
        if name in VOLUME_ML:
            finding = _Finding(name, mask, mask.num_voxels)
            flags += self._overlap_flags(finding)
            self._findings.append(finding)
        return tuple(flags)

    def _volume_flags(self, name: str, mask: CroppedArray, volume_ml: float) -> list[str]:
        if name not in VOLUME_ML:
            return []
        low, high = VOLUME_ML[name]
        if volume_ml > high:
            return [f"Check: {volume_ml:.0f} ml is more than the {name} of an adult has (up to {high:g} ml)."]
        if volume_ml < low and not self._is_cut(mask):
            return [f"Check: {volume_ml:.2g} ml is less than the {name} of an adult has (from {low:g} ml)."]
        return []

    def _is_cut(self, mask: CroppedArray) -> bool:
        margins = [math.ceil(_CUT_MM / spacing) for spacing in self._volume.spacing_mm]
        grown = mask.box.grow(margins)
        return grown.intersect(self._encoded) != grown

    def _side_flags(self, name: str, mask: CroppedArray) -> list[str]:
        side = _SIDE.get(name, 1 if name.startswith("left ") else -1 if name.startswith("right ") else 0)
        if not side or self._middle_mm is None or name in _WHOLES["heart"]:
            return []
        left_mm = self._middle_mm - float(self._volume.affine[0, :3] @ _centroid(mask) + self._volume.affine[0, 3])
        if side * left_mm < -_SIDE_MARGIN_MM:
            where = "right" if side > 0 else "left"
            return [f"Check: the mask lies on the {where} side of the body, where no {name} is expected."]
        return []

    def _density_flags(self, name: str, mask: CroppedArray) -> list[str]:
        if self._volume.modality != "CT" or name not in MEDIAN_HU:
            return []
        step = _sampling_step(mask)
        values = self._volume.array[mask.box.slices][::step, ::step, ::step]
        inside = mask.array[::step, ::step, ::step] > 0
        if not inside.any():
            return []
        (low, high), median = MEDIAN_HU[name], float(np.median(values[inside]))
        if low <= median <= high:
            return []
        return [f"Check: its median of {median:.0f} HU is not that of the {name} ({low:.0f} to {high:.0f} HU)."]

    def _overlap_flags(self, finding: _Finding) -> list[str]:
        flags = []
        name = finding.name
        for other in self._findings:
            if other.name == name or other.name in _WHOLES.get(name, ()) or name in _WHOLES.get(other.name, ()):
                continue
            common = finding.mask.box.intersect(other.mask.box)
            most = _MOST * min(finding.voxels, other.voxels)
            if common.num_voxels <= most:
                continue
            if np.count_nonzero(finding.mask.inside(common).array & other.mask.inside(common).array) > most:
                flags.append(f"Check: the mask and that of {other.name} are mostly the same voxels.")
        return flags


def _sampling_step(mask: CroppedArray) -> int:
    return max(1, round((mask.array.size / _CENTROID_VOXELS) ** (1 / 3)))


def _centroid(mask: CroppedArray) -> np.ndarray:
    """Return the centre of a mask in voxels of the scan `(3,)`; of a large one from every n-th voxel of each axis."""
    step = _sampling_step(mask)
    inside = mask.array[::step, ::step, ::step]
    if not inside.any():
        step, inside = 1, mask.array
    planes = [np.count_nonzero(inside, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    return np.array([step * np.average(np.arange(len(n)), weights=n) for n in planes]) + mask.box.start


def _middle_of_body(volume: Volume) -> float | None:
    """Middle of the body along the left-right axis in mm (RAS+); None where the image may show one side alone."""
    x = find_body(volume).box.corners @ volume.affine[0, :3] + volume.affine[0, 3]
    if x.max() - x.min() < WIDE_BODY_MM:
        return None
    return float(x.min() + x.max()) / 2
