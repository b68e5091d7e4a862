"""Lesions of a segment are those of its mask, on whatever grid, and go one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import SHAPE, affine_of, mask_in, obliqueness, segment_ids, tag_of, volume_node

from dsm.core.boxes import CroppedArray
from dsm.inference.lesion_list import list_lesions
from DSMSegmentLib import Runs
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.lesions import hasLesions, lesionMeasurement, lesionsOf, removeLesion
from DSMSegmentLib.scene.mrml import (
    ijkToRAS,
    orientedImageFromCrop,
    orientedImageFromSegment,
    setSegmentMask,
    volumeFromNode,
)

TUMOR = np.zeros(SHAPE, np.uint8)
TUMOR[1:4, 1:4, 1:3] = TUMOR[6, 5:7, 4] = 1
MASKS = {"liver": np.ones(SHAPE, np.uint8), "liver tumor": TUMOR}


@pytest.fixture
def volume() -> Any:
    return volume_node(affine_of(obliqueness(5) @ np.diag([-1.0, 1.0, 1.0])))


@pytest.fixture
def node(volume: Any) -> Any:
    return Runs(FakeBackend(MASKS)).segment(volume, "liver; liver tumor", wait=True).segmentationNode


def test_lesions_are_those_of_the_mask_on_the_grid_of_the_scan(node: Any, volume: Any) -> None:
    liver, tumor = segment_ids(node)
    assert [hasLesions(node, one) for one in (liver, tumor, "gone")] == [False, True, False]
    scan = volumeFromNode(volume)
    expected = list_lesions(CroppedArray.from_mask(TUMOR), scan.array, scan.affine)
    assert lesionsOf(node, tumor) == expected
    assert len(expected) == 2


def test_removed_lesion_leaves_the_others_and_the_journal_brings_it_back(node: Any, volume: Any) -> None:
    liver, tumor = segment_ids(node)
    large, small = lesionsOf(node, tumor)
    journal = RunJournal(node)
    journal.noteChanging(tumor)
    assert removeLesion(node, tumor, large.voxel_ijk)
    assert lesionsOf(node, tumor) == [small]
    assert tag_of(node.GetSegmentation().GetSegment(tumor), "DICOM.SegmentAlgorithmType") == "SEMIAUTOMATIC"
    np.testing.assert_array_equal(mask_in(node, liver, volume), MASKS["liver"])
    assert not removeLesion(node, tumor, large.voxel_ijk), "it is gone already"
    assert removeLesion(node, tumor, small.voxel_ijk)
    assert lesionsOf(node, tumor) == []
    assert not removeLesion(node, tumor, small.voxel_ijk)
    journal.revert()
    assert lesionsOf(node, tumor) == [large, small]
    np.testing.assert_array_equal(mask_in(node, tumor, volume), TUMOR)


def test_a_mask_on_a_finer_grid_is_measured_there(node: Any, volume: Any) -> None:
    _, tumor = segment_ids(node)
    finer = np.kron(TUMOR, np.ones((2, 2, 2), np.uint8))
    halves = np.diag([0.5, 0.5, 0.5, 1.0])
    halves[:3, 3] = -0.25
    setSegmentMask(node, tumor, orientedImageFromCrop(CroppedArray.from_mask(finer), ijkToRAS(volume) @ halves))
    scan = volumeFromNode(volume)
    for found, expected in zip(
        lesionsOf(node, tumor), list_lesions(CroppedArray.from_mask(TUMOR), scan.array, scan.affine), strict=True
    ):
        assert found.volume_ml == pytest.approx(expected.volume_ml)
        assert found.mean == pytest.approx(expected.mean, rel=1e-5)
        assert found.sd == pytest.approx(expected.sd, rel=1e-4)
        np.testing.assert_allclose(found.center_ras_mm, expected.center_ras_mm, atol=1e-4)
    large, small = lesionsOf(node, tumor)
    assert removeLesion(node, tumor, large.voxel_ijk)
    (left,) = lesionsOf(node, tumor)
    assert left.center_ras_mm == pytest.approx(small.center_ras_mm, abs=1e-4), "no crumbs of the other one"


def test_intensity_of_a_lesion_that_leaves_the_scan_is_no_number(node: Any, volume: Any) -> None:
    _, tumor = segment_ids(node)
    shifted = ijkToRAS(volume)
    shifted[:3, 3] -= shifted[:3, 0] * 2
    setSegmentMask(node, tumor, orientedImageFromCrop(CroppedArray.from_mask(TUMOR), shifted))
    large, small = lesionsOf(node, tumor)
    assert np.isnan(large.mean)
    assert np.isfinite(small.mean)
    assert orientedImageFromSegment(node, tumor).GetNumberOfPoints()


@pytest.mark.parametrize("on_grid", [True, False])
def test_measurement_is_of_the_mask_and_the_scan_as_they_were(node: Any, volume: Any, on_grid: bool) -> None:
    _, tumor = segment_ids(node)
    if not on_grid:
        image = orientedImageFromSegment(node, tumor)
        image.SetOrigin([value + 0.3 for value in image.GetOrigin()])
        setSegmentMask(node, tumor, image)
    expected = lesionsOf(node, tumor)
    measure = lesionMeasurement(node, tumor)
    slicer.util.arrayFromVolume(volume)[:] = 7
    assert removeLesion(node, tumor, expected[0].voxel_ijk)
    assert measure() == expected
    assert lesionsOf(node, tumor) != expected
