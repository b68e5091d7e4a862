"""Thresholds move without the network, and the maps for that take bounded memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import (
    SHAPE,
    affine_of,
    mask_in,
    mask_of,
    obliqueness,
    plain_affine,
    roi_node,
    segment_ids,
    tag_of,
    volume_node,
)

from dsm.core.boxes import CroppedArray
from dsm.core.options import SegmentOptions
from dsm.errors import InputError
from DSMSegmentLib import JobOptions, Runs
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.islands import keepIslands
from DSMSegmentLib.scene.map_store import MapStore, SegmentMap
from DSMSegmentLib.scene.mrml import ijkToRAS, volumeFromNode
from DSMSegmentLib.scene.placement import createSegmentation
from DSMSegmentLib.scene.policy import ExistingPolicy, OverlapPolicy
from DSMSegmentLib.scene.rethreshold import setThreshold

OFFSET = (2, 1, 3)
NOTHING = CroppedArray(np.zeros((0, 0, 0), np.float16), (0, 0, 0))


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
    options = JobOptions(SegmentOptions(uncertainty=True), existing=ExistingPolicy.REPLACE)
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
    np.testing.assert_array_equal(keepIslands(mask | big, fraction=1.0), big)
    np.testing.assert_array_equal(keepIslands(np.zeros(SHAPE, np.uint8), fraction=1.0), 0)


def test_largest_island_of_a_large_mask_is_found_in_blocks() -> None:
    mask = np.zeros((130, 120, 110), np.uint8)
    mask[3:60, 4:50, 5:40] = 1
    large = mask.copy()
    mask[90:120, 80:110, 70:100] = 1
    np.testing.assert_array_equal(keepIslands(mask, fraction=1.0), large)


def test_islands_are_kept_by_their_size() -> None:
    parts = [np.zeros(SHAPE, np.uint8) for _ in range(3)]
    parts[0][1:9, 1:6, 1:4] = 1  # 120 voxels
    parts[1][11:13, 8:10, 5:8] = 1  # 12
    parts[2][11, 1, 1] = 1
    whole = np.bitwise_or.reduce(parts)
    np.testing.assert_array_equal(keepIslands(whole, fraction=0.0), whole)
    np.testing.assert_array_equal(keepIslands(whole, fraction=0.0, smallest=12), parts[0] | parts[1])
    np.testing.assert_array_equal(keepIslands(whole, fraction=0.2), parts[0])
    np.testing.assert_array_equal(keepIslands(parts[2], fraction=0.0, smallest=12), parts[2])
    large = np.zeros((130, 120, 110), np.uint8)
    large[90:120, 80:110, 70:100] = 1
    large[3:9, 4:7, 5:8] = 1  # 54 voxels in several blocks
    speck = large.copy()
    speck[50, 60, 70] = 1
    np.testing.assert_array_equal(keepIslands(speck, fraction=0.0, smallest=54), large)


def written(
    volume: Any, text: str, mask: np.ndarray, node: Any = None, *, postprocess: bool = True, **options: Any
) -> tuple[Runs, Any]:
    """Runs that have found `mask`, and the segmentation."""
    segment = SegmentOptions(postprocess=postprocess)
    runs = Runs(FakeBackend({text: mask}))
    job = runs.segment(volume, text, node, JobOptions(segment, **options), interactive=True)
    job.wait()
    return runs, job.segmentationNode


@pytest.mark.parametrize(("text", "kept"), [("liver", 1), ("liver tumor", 2)])
def test_tumors_keep_their_parts_and_lose_specks_as_in_a_run(volume: Any, text: str, kept: int) -> None:
    parts = [np.zeros(SHAPE, np.uint8) for _ in range(3)]
    parts[0][1:7, 1:9, 1:4] = 1
    parts[1][9:13, 2:9, 5:8] = 1  # 0.2 ml
    parts[2][13, 0, 0] = 1
    runs, node = written(volume, text, np.bitwise_or.reduce(parts), postprocess=False)
    runs.setThreshold(node, segment_ids(node)[0], 0.4, postprocess=True)
    np.testing.assert_array_equal(mask_in(node, segment_ids(node)[0], volume), np.bitwise_or.reduce(parts[:kept]))


def test_what_a_segment_has_outside_of_the_region_of_its_run_stays() -> None:
    volume = volume_node(plain_affine())
    _, node = written(volume, "liver", mask_of(seed=1))
    region = {"roi": roi_node(volume, (3, 4, 3), (6, 8, 5)), "existing": ExistingPolicy.REPLACE}
    runs, _ = written(volume, "liver", mask_of(seed=2), node, **region)
    before = mask_in(node, "DSM_liver", volume)
    volume_ml = runs.setThreshold(node, "DSM_liver", 0.4)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), before)
    assert volume_ml == pytest.approx(before.sum() * volumeFromNode(volume).voxel_ml)
    runs._probabilities.put(node, "DSM_liver", replace(runs._probabilities.get(node, "DSM_liver"), values=NOTHING))
    runs.setThreshold(node, "DSM_liver", 0.4)
    before[3:6, 4:8, 3:5] = 0
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), before)


@pytest.mark.parametrize("overlap", [OverlapPolicy.KEEP_EXISTING, OverlapPolicy.OVERWRITE])
def test_segments_that_the_run_did_not_overlap_are_not_overlapped_later(volume: Any, overlap: OverlapPolicy) -> None:
    _, node = written(volume, "liver", mask_of(seed=1))
    runs, _ = written(volume, "spleen", mask_of(seed=2), node, overlap=overlap)
    ids = ("DSM_liver", "DSM_spleen")
    before = [mask_in(node, id_, volume) for id_ in ids]
    runs.setThreshold(node, "DSM_spleen", 0.4)
    for id_, mask in zip(ids, before, strict=True):
        np.testing.assert_array_equal(mask_in(node, id_, volume), mask)


def test_segment_that_was_edited_by_hand_is_not_touched_unless_one_can_take_it_back(volume: Any) -> None:
    runs, node = written(volume, "liver", mask_of(seed=1))
    node.GetSegmentation().GetSegment("DSM_liver").SetTag("DICOM.SegmentAlgorithmType", "SEMIAUTOMATIC")
    setThreshold(node, "DSM_liver", map_of(volume), 0.9)
    corrected = mask_in(node, "DSM_liver", volume)
    with pytest.raises(InputError, match="liver was edited by hand"):
        runs.setThreshold(node, "DSM_liver", 0.4)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), corrected)
    runs.setThreshold(node, "DSM_liver", 0.4, overEdits=True)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), mask_of(seed=1))
