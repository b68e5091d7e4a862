"""Segment tags stay correct after every change, and are the same whoever wrote the segment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import SHAPE, mask_in, mask_of, plain_affine, segment_ids, tag_of, volume_node

from DSMSegmentLib import JobOptions, OverlapPolicy, Runs
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.panel.result_rows import resultRows
from DSMSegmentLib.scene.editor_bridge import EditWatch
from DSMSegmentLib.scene.mrml import volumeFromNode

MASKS = {"liver": mask_of(seed=1), "spleen": mask_of(seed=2)}
OVERWRITE = JobOptions(overlap=OverlapPolicy.OVERWRITE)


@pytest.fixture
def volume() -> Any:
    return volume_node(plain_affine())


@pytest.fixture
def runs() -> Runs:
    return Runs(FakeBackend(MASKS))


def rows_of(node: Any) -> dict[str, Any]:
    return {row.segmentId: row for row in resultRows(node, [])}


def ml(volume: Any, mask: np.ndarray) -> Any:
    return pytest.approx(np.count_nonzero(mask) * volumeFromNode(volume).voxel_ml, abs=1e-4)


def paint(node: Any, segment_id: str, volume: Any, mask: np.ndarray) -> None:
    """Change a segment as the editor does."""
    array = np.ascontiguousarray(mask.transpose(2, 1, 0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment_id, volume)


class TestVoxelsTakenByAnother:
    def test_volume_is_that_of_what_is_left_and_a_note_says_why(self, runs: Runs, volume: Any) -> None:
        node = runs.segment(volume, "liver", wait=True).segmentationNode
        runs.segment(volume, "spleen", node, OVERWRITE, wait=True)
        left = MASKS["liver"] & (1 - MASKS["spleen"])
        row = rows_of(node)["DSM_liver"]
        assert row.volumeMl == ml(volume, left)
        assert row.note == "Voxels went to spleen."
        assert not row.edited, "nobody has done it by hand"

    def test_undo_takes_it_back(self, runs: Runs, volume: Any) -> None:
        node = runs.segment(volume, "liver", wait=True).segmentationNode
        runs.segment(volume, "spleen", node, OVERWRITE, wait=True)
        assert runs.undoLast(node)
        row = rows_of(node)["DSM_liver"]
        assert row.volumeMl == ml(volume, MASKS["liver"])
        assert row.note == ""

    def test_a_segment_that_a_person_drew_gets_no_tags(self, runs: Runs, volume: Any) -> None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        node.GetSegmentation().AddEmptySegment("mine", "mine")
        paint(node, "mine", volume, MASKS["liver"])
        runs.segment(volume, "spleen", node, OVERWRITE, wait=True)
        assert not node.GetSegmentation().GetSegment("mine").HasTag("DSM.VolumeMl")
        assert not mask_in(node, "mine", volume)[MASKS["spleen"] != 0].any()

    def test_another_threshold_does_not_take_them_back(self, runs: Runs, volume: Any) -> None:
        node = runs.segment(volume, "liver", wait=True, interactive=True).segmentationNode
        runs.segment(volume, "spleen", node, OVERWRITE, interactive=True).wait()
        volume_ml = runs.setThreshold(node, "DSM_liver", 0.3)
        left = MASKS["liver"] & (1 - MASKS["spleen"])
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), left)
        assert volume_ml == ml(volume, left)
        assert rows_of(node)["DSM_liver"].volumeMl == ml(volume, left)

    def test_nothing_is_left(self, runs: Runs, volume: Any) -> None:
        runs.use(FakeBackend({"liver": MASKS["liver"], "spleen": np.ones(SHAPE, np.uint8)}))
        node = runs.segment(volume, "liver", wait=True).segmentationNode
        runs.segment(volume, "spleen", node, OVERWRITE, wait=True)
        assert rows_of(node)["DSM_liver"].volumeMl == 0.0


class TestEditsByHand:
    def test_each_gives_the_segment_its_new_volume(self, runs: Runs, volume: Any) -> None:
        node = runs.segment(volume, "liver", wait=True).segmentationNode
        watch = EditWatch(node)
        for seed in (5, 6):
            paint(node, "DSM_liver", volume, mask_of(seed=seed))
            assert watch.markEdited() == ["DSM_liver"]
            assert rows_of(node)["DSM_liver"].volumeMl == ml(volume, mask_of(seed=seed))
            assert rows_of(node)["DSM_liver"].edited
            assert watch.markEdited() == []
        original = watch.original("DSM_liver")
        assert np.count_nonzero(original.array) == np.count_nonzero(MASKS["liver"])

    def test_undo_of_the_editor_is_no_edit(self, runs: Runs, volume: Any) -> None:
        node = runs.segment(volume, "liver", wait=True).segmentationNode
        history = slicer.vtkSegmentationHistory()
        history.SetSegmentation(node.GetSegmentation())
        watch = EditWatch(node)
        history.SaveState()
        paint(node, "DSM_liver", volume, mask_of(seed=5))
        assert watch.markEdited() == ["DSM_liver"]
        history.RestorePreviousState()
        watch.markEdited()
        row = rows_of(node)["DSM_liver"]
        assert row.volumeMl == ml(volume, MASKS["liver"])
        assert not row.edited

    def test_empty_segment_that_is_painted_has_a_volume(self, runs: Runs, volume: Any) -> None:
        node = runs.segment(volume, "aorta", options=JobOptions(keepEmpty=True), wait=True).segmentationNode
        (segment_id,) = segment_ids(node)
        assert tag_of(node.GetSegmentation().GetSegment(segment_id), "DSM.VolumeMl") == "0.0000"
        watch = EditWatch(node)
        paint(node, segment_id, volume, mask_of(seed=5))
        watch.markEdited()
        assert rows_of(node)[segment_id].volumeMl == ml(volume, mask_of(seed=5))
