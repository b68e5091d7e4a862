"""Colours on display: far apart from each other, also for eyes without the green cones (deuteranopia).

Standard colours (`Structure.color`) tell the structure, and stay in files; several are too alike to be told apart in a
view (liver and stomach, left and right kidney).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

RGB = tuple[int, int, int]

#: Least difference of two colours of the palette by CIEDE2000: as they are, and as deuteranopia sees them.
LEAST_DIFFERENCE, LEAST_DIFFERENCE_DEUTERANOPIA = 20.0, 12.0
# Found by a search for the largest least difference of 20 colours that also differ from grey tissue, black and white.
_PALETTE: tuple[RGB, ...] = tuple(
    (value >> 16, value >> 8 & 0xFF, value & 0xFF)
    for value in (
        *(0xCCFF00, 0x7700FF, 0x665500, 0xFFAABB, 0x00AAAA, 0xEE2211, 0xAACCFF, 0x006666, 0xEE0088, 0xFF8800),
        *(0x88FFEE, 0xFFEEBB, 0x883344, 0x999966, 0x228844, 0xBB88FF, 0x335599, 0x0088DD, 0x886699, 0x55DD77),
    )
)
# Machado et al. 2009, severity 1, in linear RGB.
_DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
# sRGB (IEC 61966-2-1), white point D65.
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_C7 = 25.0**7


def distinct_color(standard: RGB, taken: Sequence[RGB]) -> RGB:
    """Return the colour of the palette that differs most from those on display; of a palette used up, the rarest.

    Args:
        standard: Standard colour of the structure; without colours on display, the one most like it is returned.
        taken: Colours on display.
    """
    if not taken:
        return min(_PALETTE, key=lambda color: difference(color, standard))
    return max(_PALETTE, key=lambda color: (min(_distance(color, other) for other in taken), -taken.count(color)))


@lru_cache(maxsize=4096)  # the same few colours are compared again and again
def difference(one: RGB, other: RGB, *, deuteranopia: bool = False) -> float:
    """Return the difference of two colours by CIEDE2000: 0 for none, 100 for black and white.

    Args:
        one: Red, green, blue, 0 to 255.
        other: The same.
        deuteranopia: Whether as an eye without green cones sees them.
    """
    return ciede2000(_lab(one, deuteranopia=deuteranopia), _lab(other, deuteranopia=deuteranopia))


def ciede2000(one: np.ndarray, other: np.ndarray) -> float:
    """Return the colour difference of two CIELAB colours, each `(3,)`: ISO/CIE 11664-6."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + _C7))
    c1, c2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a * stretch)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = (h1 + turn / 2) % 360 if c1 * c2 else h1 + h2
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    weight = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    by_lightness = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    by_chroma = (c2 - c1) / (1 + 0.045 * chroma)
    by_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * weight)
    blue = np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))) * 2 * np.sqrt(chroma**7 / (chroma**7 + _C7))
    return float(np.sqrt(by_lightness**2 + by_chroma**2 + by_hue**2 - blue * by_chroma * by_hue))


def _distance(one: RGB, other: RGB) -> float:
    """Return the smaller of both differences, each as a multiple of its least one."""
    return min(
        difference(one, other) / LEAST_DIFFERENCE,
        difference(one, other, deuteranopia=True) / LEAST_DIFFERENCE_DEUTERANOPIA,
    )


def _lab(color: RGB, *, deuteranopia: bool) -> np.ndarray:
    encoded = np.asarray(color) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    if deuteranopia:
        linear = np.clip(_DEUTERANOPIA @ linear, 0, 1)
    ratio = _XYZ @ linear / _XYZ.sum(1)
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
