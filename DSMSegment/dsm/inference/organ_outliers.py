"""Outliers within an organ: candidates for tumors without labels in the training data.

Text and synthetic lesions taught the network where such a tumor would lie, not what it looks like: asked for one, it
marks the organ (model card). The organ's own voxels are the better teacher: most of them are healthy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from torch import Tensor

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.inference.components import component_sizes, label_components
from dsm.inference.host_organs import map_host_organs
from dsm.inference.logit_components import REJECTED_LOGIT
from dsm.inference.working_grid import WorkingGrid

OUTLIER = 3.5  # modified z-score: Iglewicz and Hoaglin, How to detect and handle outliers (1993)
_OF_A_RIM = OUTLIER / 2
_SMOOTH = 0.7  # features (3 mm) of a Gaussian
_CLOSED = 3  # features: lesions that the organ's mask leaves out are dents in it
_DEPTH = 2  # features from the organ's border, where fat and neighbours shine through
_FAT_HU = -20.0
_FEWEST = 100  # features (3 ml) that say what an organ looks like
_SMALLEST = 10  # features (0.3 ml)
_MAD_TO_SIGMA = 1.4826
_LEAST_SPREAD_HU = 3.0  # in denoised images, invisible differences would otherwise be outliers


def deviation_logits(
    hosts: Tensor, volume: Volume, grid: WorkingGrid, *, claimed: Callable[[Box], np.ndarray]
) -> Tensor | None:
    """Logits of being an outlier of an organ: 0 at a modified z-score of 3.5, one more a unit.

    In CT what is darker counts, as most tumors and cysts are in a venous phase, and not the vessels, which are
    brighter; in MR both count.

    Args:
        hosts: Logits of solid organs `(hosts, i, j, k)` on the CPU.
        volume: The image.
        grid: How the logits lie on it.
        claimed: Tells of a box of features which of them other organs claim: bool `(i, j, k)` of the box.

    Returns:
        `(i, j, k)`, float32; None where no host is large enough to be compared with itself. Within two features (6 mm)
        of a host's border, and at fat, nothing is above 0, but beside an outlier; nothing is outside of hosts.
    """

    def of_one(mask: np.ndarray, intensity: np.ndarray, box: Box) -> np.ndarray | None:
        return _deviation(_closed(mask) & ~claimed(box), intensity, is_ct=volume.modality == "CT")

    return map_host_organs(hosts, volume, grid, of_one, margin=_CLOSED + 1)


def _closed(mask: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.binary_fill_holes(mask | ndimage.binary_closing(mask, iterations=_CLOSED)))


def _deviation(mask: np.ndarray, intensity: np.ndarray, *, is_ct: bool) -> np.ndarray | None:
    """Logits in the box of one organ; None where its core is too small."""
    shell = ndimage.binary_erosion(mask, border_value=1)
    core = ndimage.binary_erosion(shell, iterations=_DEPTH - 1, border_value=1)
    if is_ct:  # fat in fissures, and what it shines through
        at_fat = ndimage.binary_dilation(intensity < _FAT_HU)
        shell, core = shell & ~at_fat, core & ~at_fat
    if np.count_nonzero(core) < _FEWEST:
        return None
    z = _modified_z(intensity, shell, core, least_spread=_LEAST_SPREAD_HU if is_ct else 1e-6)
    z = -z if is_ct else np.abs(z)
    outliers = _without_specks(core & (z > OUTLIER))
    rim = ndimage.binary_dilation(outliers) & shell & ~outliers & (z > _OF_A_RIM)
    missing_depth = _DEPTH - shell - core.astype(np.float32)
    logits = np.where(mask, np.minimum(z, OUTLIER) - OUTLIER - missing_depth - 0.1, REJECTED_LOGIT)
    logits[outliers] = z[outliers] - OUTLIER
    logits[rim] = z[rim] - _OF_A_RIM
    return logits.clip(REJECTED_LOGIT, -REJECTED_LOGIT).astype(np.float32)


def _modified_z(intensity: np.ndarray, shell: np.ndarray, core: np.ndarray, *, least_spread: float) -> np.ndarray:
    """Smoothed intensity minus the core's median, in robust standard deviations of the core."""
    weight = ndimage.gaussian_filter(shell.astype(np.float32), _SMOOTH)
    smooth = ndimage.gaussian_filter(np.where(shell, intensity, 0).astype(np.float32), _SMOOTH)
    smooth = smooth / weight.clip(1e-3)
    median = np.median(smooth[core])
    spread = _MAD_TO_SIGMA * np.median(np.abs(smooth[core] - median))
    return np.asarray((smooth - median) / max(spread, least_spread))


def _without_specks(mask: np.ndarray) -> np.ndarray:
    parts, count = label_components(mask)
    large = component_sizes(parts, mask, count) >= _SMALLEST
    return large[parts]
