"""Encoding of a region: its grid, and masks that match those of the whole volume."""

import math

import numpy as np
import pytest

from dsm.core.boxes import Box
from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.inference.body_grid import CONTEXT_MM, make_working_grid
from dsm.inference.encoding_cache import encoding_keys
from dsm.inference.segmenter import Segmenter

MM = 3.0
AROUND = math.ceil(CONTEXT_MM / MM)
SHAPE = (110, 100, 96)
REGION = Box((50, 40, 44), (58, 48, 50))


def volume_of(affine=None, modality="CT"):
    """Soft tissue with two bright blocks far from each other, in a rim of air."""
    array = np.full(SHAPE, -1000, np.int16)
    array[4:-4, 4:-4, 4:-4] = 40
    array[52:56, 42:46, 45:48] = 200
    array[8:12, 8:12, 8:12] = 200
    return Volume(array, np.diag([MM, MM, MM, 1.0]) if affine is None else affine, modality)


def test_grid_covers_the_region_with_a_margin():
    volume = volume_of()
    _, whole = make_working_grid(volume, spacing_mm=1.5)
    _, part = make_working_grid(volume, spacing_mm=1.5, region=REGION)
    assert math.prod(part.padded_shape) < 0.2 * math.prod(whole.padded_shape)
    for low, high, start, stop in zip(part.box.start, part.box.stop, REGION.start, REGION.stop, strict=True):
        assert start - low >= AROUND - 16 * 1.5 / MM  # a row of blocks may give way
        assert high - stop >= AROUND - 16 * 1.5 / MM


def test_air_is_excluded_for_a_region_at_the_skin():
    volume = volume_of()
    volume.array[:40] = -1000
    _, part = make_working_grid(volume, spacing_mm=1.5, region=REGION)
    _, whole = make_working_grid(volume, spacing_mm=1.5)
    assert part.box.start[0] >= whole.box.start[0] > REGION.start[0] - AROUND


def test_region_in_air_is_encoded():
    volume = volume_of()
    volume.array[:60] = -1000
    _, part = make_working_grid(volume, spacing_mm=1.5, region=Box((2, 2, 2), (6, 6, 6)))
    assert part.box.start == (0, 0, 0)
    assert not part.box.is_empty


def test_region_of_the_whole_volume_equals_no_region():
    volume = volume_of()
    whole = Box((0, 0, 0), SHAPE)
    assert make_working_grid(volume, spacing_mm=1.5, region=whole) == make_working_grid(volume, spacing_mm=1.5)


def test_mr_is_encoded_whole():
    volume = volume_of(modality="MR")
    assert make_working_grid(volume, spacing_mm=1.5, region=REGION) == make_working_grid(volume, spacing_mm=1.5)


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_mask_in_the_region_matches_the_whole_volume(make_segmenter, signs):
    affine = np.diag([*(MM * sign for sign in signs), 1.0])
    volume = volume_of(affine)
    segmenter = make_segmenter(vectors={"liver tumor": (0.6, 5.0)}, trained=("liver tumor",))  # any part, above 115 HU
    whole = segmenter.encode(volume).segment("liver tumor", SegmentOptions(postprocess=False))[0].full_mask()
    part = (
        segmenter.encode(volume, region=REGION).segment("liver tumor", SegmentOptions(postprocess=False))[0].full_mask()
    )
    assert part.shape == SHAPE
    assert part[REGION.slices].any()
    np.testing.assert_array_equal(part[REGION.slices], whole[REGION.slices])
    assert whole[:16, :16, :16].any()
    assert not part[:16, :16, :16].any()


def test_encodings_of_regions_have_separate_keys(tiny_model, tmp_path, monkeypatch):
    volume = volume_of()
    keys = [encoding_keys(volume, model_digest="d", region=region) for region in (None, REGION, REGION.grow(1))]
    assert [list(found) for found in keys] == [[None], [None, REGION], [None, REGION.grow(1)]]
    assert len({key for found in keys for key in found.values()}) == 3
    monkeypatch.setenv("DSM_CACHE_DIR", str(tmp_path))
    segmenter = Segmenter.from_pretrained(tiny_model)
    first = segmenter.encode(volume, region=REGION)
    again = segmenter.encode(volume, region=REGION)
    assert len(list(tmp_path.iterdir())) == 1
    assert first.grid == again.grid
    one, other = (scan.segment("liver")[0].full_mask() for scan in (first, again))
    np.testing.assert_array_equal(one, other)


def test_cached_whole_encoding_is_reused_for_a_region(tiny_model, tmp_path, monkeypatch):
    volume = volume_of()
    monkeypatch.setenv("DSM_CACHE_DIR", str(tmp_path))
    segmenter = Segmenter.from_pretrained(tiny_model)
    whole = segmenter.encode(volume)
    part = segmenter.encode(volume, region=REGION)
    assert len(list(tmp_path.iterdir())) == 1
    assert part.grid == whole.grid
    one, other = (scan.segment("liver")[0].full_mask() for scan in (whole, part))
    np.testing.assert_array_equal(one, other)
