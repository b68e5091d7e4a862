"""Synthetic CT of ellipsoids: reproducible, of realistic size, free of patient data."""

from __future__ import annotations

import numpy as np

from dsm.core.boxes import Index3
from dsm.core.volume import Volume

SHAPE: Index3 = (512, 512, 300)
SPACING_MM = (0.8, 0.8, 1.5)

_AIR_HU, _FAT_HU, _MUSCLE_HU = -1000.0, -100.0, 40.0
_BODY_MM, _MUSCLE_MM = (170.0, 115.0), (155.0, 100.0)
# Centre (mm from the middle, RAS), half axes (mm), HU. Later ones cover earlier ones.
_ORGANS = (
    ((-70, 0, 130), (60, 75, 100), -850),  # right lung
    ((70, 0, 130), (60, 75, 100), -850),  # left lung
    ((-70, 10, 0), (75, 70, 65), 110),  # liver
    ((95, -30, 10), (30, 40, 50), 120),  # spleen
    ((45, 25, 5), (45, 40, 35), 30),  # stomach
    ((-55, -50, -60), (28, 28, 55), 180),  # right kidney
    ((55, -50, -60), (28, 28, 55), 180),  # left kidney
    ((-35, 45, -30), (14, 14, 25), 10),  # gallbladder
    ((10, 10, -15), (55, 12, 14), 90),  # pancreas
    ((8, -35, 0), (11, 11, 230), 250),  # aorta
    ((-18, -30, 0), (11, 11, 230), 160),  # inferior vena cava
    ((0, -75, 0), (20, 20, 240), 300),  # spine
    ((0, 30, -150), (45, 38, 38), 10),  # urinary bladder
    ((-85, 0, -170), (24, 24, 24), 400),  # right femoral head
    ((85, 0, -170), (24, 24, 24), 400),  # left femoral head
)
_TISSUE_NOISE_HU, _AIR_NOISE_HU = 18.0, 6.0
_SEED = 0


def phantom_ct(shape: Index3 = SHAPE, spacing_mm: tuple[float, float, float] = SPACING_MM) -> Volume:
    """Make a trunk with organs of about the right size, place and density, and noise.

    Args:
        shape: Voxels along i, j, k.
        spacing_mm: Their size.

    Returns:
        int16 HU, `i` fastest in memory, RAS axes, the middle at the origin.
    """
    rng = np.random.default_rng(_SEED)
    x, y, z = (((np.arange(n) - (n - 1) / 2) * mm).astype(np.float32) for n, mm in zip(shape, spacing_mm, strict=True))
    body = _ellipse(x, y, _BODY_MM)
    trunk = np.where(body, np.where(_ellipse(x, y, _MUSCLE_MM), _MUSCLE_HU, _FAT_HU), _AIR_HU).astype(np.float32)
    noise = np.where(body, _TISSUE_NOISE_HU, _AIR_NOISE_HU).astype(np.float32)
    array = np.empty(shape, dtype=np.int16, order="F")
    for k, height in enumerate(z):
        plane = trunk.copy()
        for (cx, cy, cz), (rx, ry, rz), hu in _ORGANS:
            rest = 1 - ((height - cz) / rz) ** 2
            if rest > 0:
                plane[_ellipse(x - cx, y - cy, (rx * rest**0.5, ry * rest**0.5)) & body] = hu
        plane += noise * rng.standard_normal(plane.shape, dtype=np.float32)
        array[:, :, k] = np.clip(np.rint(plane), -1024, 3071)
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = [x[0], y[0], z[0]]
    return Volume(array, affine, "CT", "phantom")


def _ellipse(x: np.ndarray, y: np.ndarray, half_axes: tuple[float, float]) -> np.ndarray:
    inside: np.ndarray = (x[:, None] / half_axes[0]) ** 2 + (y[None, :] / half_axes[1]) ** 2 <= 1
    return inside
