from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dsm.cohort.thumbnail import draw_pages, draw_thumbnail
from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.io.segment_record import SegmentRecord

Image = pytest.importorskip("PIL.Image")


def picture(path: Path, affine: np.ndarray) -> np.ndarray:
    """A red cube in the patient's right, anterior, superior corner of a grid that runs as `affine` says."""
    ras = np.zeros((40, 40, 40), np.uint8)
    ras[28:36, 28:36, 28:36] = 1
    axes = affine[:3, :3]
    order = [int(np.argmax(abs(axes[:, axis]))) for axis in range(3)]
    mask = ras.transpose(order)
    for axis in range(3):
        if axes[order[axis], axis] < 0:
            mask = np.flip(mask, axis)
    volume = Volume(np.full(mask.shape, -160, np.int16), affine)
    record = SegmentRecord("x", CroppedArray.from_mask(np.ascontiguousarray(mask)), (255, 0, 0))
    draw_thumbnail(path, volume, [record], ("case", "zweite Zeile 臓器"))
    return pixels_of(path)


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened)


AFFINES = [
    np.diag([1.0, 1, 1, 1]),
    np.diag([-1.0, -1, 1, 1]),
    np.array([[0, 0, -1.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
]


@pytest.mark.parametrize("affine", AFFINES)
def test_right_of_the_patient_is_on_the_left_of_the_picture(tmp_path: Path, affine: np.ndarray) -> None:
    pixels = picture(tmp_path / "a.png", affine).astype(int)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 100)
    for panel in (red[:220, :220], red[:220, 220:]):  # axial with anterior up, coronal with superior up
        rows, columns = np.nonzero(panel)
        assert len(rows) > 20
        assert rows.max() < 110
        assert columns.max() < 110


def test_scan_without_segments_is_drawn(tmp_path: Path) -> None:
    volume = Volume(np.random.default_rng(0).normal(size=(9, 8, 7)), np.eye(4), "MR")
    draw_thumbnail(tmp_path / "a.png", volume, [], ("a", "nothing found"))
    assert pixels_of(tmp_path / "a.png").max() > 100


def test_pages_have_24_thumbnails_and_old_pages_are_removed(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", np.eye(4))
    (tmp_path / "overview-09.png").write_bytes(b"old")
    pages = draw_pages(tmp_path, [tmp_path / "a.png"] * 25)
    assert [page.name for page in pages] == ["overview-01.png", "overview-02.png"]
    sizes = []
    for page in pages:
        with Image.open(page) as opened:
            sizes.append(opened.size)
    assert sizes == [(4 * 440, 6 * 264), (440, 264)]
    assert sorted(tmp_path.glob("overview-*")) == pages
