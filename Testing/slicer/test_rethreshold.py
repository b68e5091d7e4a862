"""Thresholds move without the network, and the maps for that take bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import SHAPE, affine_of, mask_in, mask_of, obliqueness, segment_ids, tag_of, volume_node

from dsm.core.boxes import CroppedArray
from dsm.errors import InputError
from DSMSegmentLib import JobOptions, Runs
from DSMSegmentLib.fake_backend import FakeBackend
from DSMSegmentLib.islands import largestIsland
from DSMSegmentLib.map_store import MapStore, SegmentMap
from DSMSegmentLib.mrml import ijkToRAS
from DSMSegmentLib.placement import createSegmentation
from DSMSegmentLib.policy import ExistingPolicy
from DSMSegmentLib.rethreshold import setThreshold

OFFSET = (2, 1, 3)


@pytest.fixture
def volume() -> Any:
    return volume_node(affine_of(obliqueness(20) @ np.diag([-1.0, 1.0, 1.0])))


@pytest.fixture
def node(volume: Any) -> Any:
    node = createSegmentation(volume)
    for name in ("a", "b"):
        node.GetSegmentation().AddEmptySegment(name, name)
    return node


def probabilities() -> np.ndarray:
    return np.random.default_rng(0).random((7, 8, 5)).astype(np.float16)


def map_of(volume: Any, values: np.ndarray | None = None) -> SegmentMap:
    return SegmentMap(CroppedArray(probabilities() if values is None else values, OFFSET), ijkToRAS(volume))


def expected(probability: np.ndarray, threshold: float) -> np.ndarray:
    full = np.zeros(SHAPE, np.uint8)
    full[2:9, 1:9, 3:8] = probability.astype(np.float32) > np.float32(np.float16(threshold))
    return full


@pytest.mark.parametrize("threshold", [0.1, 0.37, 0.5, 0.99])
def test_threshold_gives_the_voxels_above_it(volume: Any, node: Any, threshold: float) -> None:
    volume_ml = setThreshold(node, "a", map_of(volume), threshold)
    mask = expected(probabilities(), threshold)
    np.testing.assert_array_equal(mask_in(node, "a", volume), mask)
    assert volume_ml == pytest.approx(mask.sum() * abs(np.linalg.det(ijkToRAS(volume)[:3, :3])) / 1000)
    assert tag_of(node.GetSegmentation().GetSegment("a"), "DSM.Threshold") == f"{threshold:g}"


def test_other_segments_keep_their_voxels(volume: Any, node: Any) -> None:
    for name in ("a", "b"):
        setThreshold(node, name, map_of(volume), 0.5)
    setThreshold(node, "a", map_of(volume), 0.2)
    np.testing.assert_array_equal(mask_in(node, "b", volume), expected(probabilities(), 0.5))


def test_a_threshold_above_all_empties_the_segment_and_a_lower_one_fills_it_again(volume: Any, node: Any) -> None:
    half = map_of(volume, probabilities() / 2)
    assert setThreshold(node, "a", half, 0.9) == 0.0
    assert segment_ids(node) == ["a", "b"]
    assert setThreshold(node, "a", half, 0.1) > 0.0


def test_threshold_must_lie_between_0_and_1(volume: Any, node: Any) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        setThreshold(node, "a", map_of(volume), 1.0)


def test_oldest_maps_go_first(volume: Any, node: Any) -> None:
    store = MapStore(maxBytes=probabilities().nbytes + 1)
    for name in ("a", "b"):
        store.put(node, name, map_of(volume))
    assert store.get(node, "a") is None
    assert store.get(node, "b") is not None
    store.clear()
    assert store.get(node, "b") is None


def test_unknown_node_has_no_map() -> None:
    assert MapStore().get(None, "a") is None
    assert MapStore().get(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"), "a") is None


def test_segment_that_undo_gives_back_is_not_changed_by_the_map_of_the_run_taken_back(volume: Any) -> None:
    runs = Runs(FakeBackend({"liver": mask_of(seed=1), "spleen": mask_of(seed=2)}))
    first = runs.segment(volume, "liver; spleen", interactive=True)
    first.wait()
    node = first.segmentationNode
    runs.use(FakeBackend({"liver": mask_of(seed=3)}))
    options = JobOptions(existing=ExistingPolicy.REPLACE, uncertainty=True)
    runs.segment(volume, "liver", node, options, interactive=True).wait()
    assert runs.canSetThreshold(node, "DSM_liver")
    assert runs.undoLast(node)
    with pytest.raises(InputError, match="not kept any more"):
        runs.setThreshold(node, "DSM_liver", 0.7)
    assert runs.uncertaintyOf(node, "DSM_liver") is None
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), mask_of(seed=1))
    assert runs.canSetThreshold(node, "DSM_spleen"), "the run did not touch it"


def test_mask_that_a_script_put_there_is_not_changed_by_the_map_of_the_one_before(volume: Any) -> None:
    runs = Runs(FakeBackend({"liver": mask_of(seed=1), "spleen": mask_of(seed=2)}))
    first = runs.segment(volume, "liver; spleen", interactive=True)
    first.wait()
    runs.use(FakeBackend({"liver": mask_of(seed=3)}))
    options = JobOptions(existing=ExistingPolicy.REPLACE)
    runs.segment(volume, "liver", first.segmentationNode, options, wait=True)
    assert not runs.canSetThreshold(first.segmentationNode, "DSM_liver")
    assert runs.canSetThreshold(first.segmentationNode, "DSM_spleen"), "the script did not touch it"


def test_largest_island_is_the_one_with_most_voxels() -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:4, 1:4, 1:4] = 1
    big = np.zeros(SHAPE, np.uint8)
    big[6:12, 5:9, 3:7] = 1
    np.testing.assert_array_equal(largestIsland(mask | big), big)
    np.testing.assert_array_equal(largestIsland(np.zeros(SHAPE, np.uint8)), 0)


def test_largest_island_of_a_large_mask_is_found_in_blocks() -> None:
    mask = np.zeros((130, 120, 110), np.uint8)
    mask[3:60, 4:50, 5:40] = 1
    large = mask.copy()
    mask[90:120, 80:110, 70:100] = 1
    np.testing.assert_array_equal(largestIsland(mask), large)
