"""Findings become segments; whatever was there before stays as it was, unless a policy says otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import (
    SHAPE,
    affine_of,
    found,
    mask_in,
    mask_of,
    obliqueness,
    prompt,
    segment_ids,
    tag_of,
    volume_node,
)

from dsm.errors import InputError
from DSMSegmentLib import ExistingPolicy, OutcomeStatus, OverlapPolicy, Provenance, SegmentationWriter, volumeFromNode

PROVENANCE = Provenance("dsm-small", model_sha256="ab" * 32, version="0.1.0", device="cpu")
Logic = slicer.vtkSlicerSegmentationsModuleLogic


def box(low: int, high: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[low:high, 2:9, 1:7] = 1
    return mask


@pytest.fixture
def volume() -> Any:
    return volume_node(affine_of(obliqueness(20) @ np.diag([-1.0, 1.0, 1.0])))


@pytest.fixture
def handmade(volume: Any) -> Any:
    """A segmentation with one segment that the user has drawn, `box(2, 8)`."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().AddEmptySegment("mine", "Liver", (0.1, 0.2, 0.3))
    array = np.ascontiguousarray(box(2, 8).transpose(2, 1, 0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, "mine", volume)
    return node


def writer_for(volume: Any, node: Any = None, **policies: Any) -> SegmentationWriter:
    return SegmentationWriter(volume, volumeFromNode(volume).affine, node, **policies)


def writer_with(volume: Any, text: str) -> SegmentationWriter:
    """Return a writer that has written one prompt."""
    writer = writer_for(volume)
    write(writer, text, mask_of())
    return writer


def write(writer: SegmentationWriter, text: str, mask: np.ndarray) -> Any:
    return writer.write(found(text, mask), PROVENANCE)


class TestNeighbours:
    def test_hand_made_segment_is_untouched(self, volume: Any, handmade: Any) -> None:
        segment = handmade.GetSegmentation().GetSegment("mine")
        write(writer_for(volume, handmade), "spleen", box(5, 12))
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 8))
        assert (segment.GetName(), segment.GetColor()) == ("Liver", (0.1, 0.2, 0.3))
        assert not segment.HasTag("DSM.Prompt")

    def test_overlap_is_kept_in_both(self, volume: Any, handmade: Any) -> None:
        outcome = write(writer_for(volume, handmade), "spleen", box(5, 12))
        np.testing.assert_array_equal(mask_in(handmade, outcome.segmentId, volume), box(5, 12))
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 8))

    def test_overlap_of_one_run_is_kept_after_packing(self, volume: Any) -> None:
        writer = writer_for(volume)
        masks = {"liver": box(1, 9), "liver tumor": box(3, 5), "spleen": box(10, 13), "stomach": box(8, 12)}
        ids = {text: write(writer, text, mask).segmentId for text, mask in masks.items()}
        writer.finish()
        for text, mask in masks.items():
            np.testing.assert_array_equal(mask_in(writer.segmentationNode, ids[text], volume), mask)
        assert writer.segmentationNode.GetSegmentation().GetNumberOfLayers() < len(masks)

    def test_keep_existing_leaves_their_voxels_out(self, volume: Any, handmade: Any) -> None:
        outcome = write(writer_for(volume, handmade, overlap=OverlapPolicy.KEEP_EXISTING), "spleen", box(5, 12))
        np.testing.assert_array_equal(mask_in(handmade, outcome.segmentId, volume), box(8, 12))
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 8))
        voxel_ml = volumeFromNode(volume).voxel_ml
        assert outcome.volumeMl == pytest.approx(np.count_nonzero(box(8, 12)) * voxel_ml)

    def test_keep_existing_reports_what_nothing_is_left_of(self, volume: Any, handmade: Any) -> None:
        outcome = write(writer_for(volume, handmade, overlap=OverlapPolicy.KEEP_EXISTING), "spleen", box(3, 7))
        assert outcome.status is OutcomeStatus.NOT_FOUND
        assert "inside other segments" in outcome.warnings[-1]
        assert segment_ids(handmade) == ["mine"]

    def test_overwrite_takes_voxels_and_undo_gives_them_back(self, volume: Any, handmade: Any) -> None:
        writer = writer_for(volume, handmade, overlap=OverlapPolicy.OVERWRITE)
        outcome = write(writer, "spleen", box(5, 12))
        np.testing.assert_array_equal(mask_in(handmade, outcome.segmentId, volume), box(5, 12))
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 5))
        writer.journal.revert()
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 8))
        assert segment_ids(handmade) == ["mine"]

    @pytest.mark.parametrize("overlap", [OverlapPolicy.KEEP_EXISTING, OverlapPolicy.OVERWRITE])
    def test_tumor_stays_inside_the_organ_of_its_run(self, volume: Any, handmade: Any, overlap: OverlapPolicy) -> None:
        writer = writer_for(volume, handmade, overlap=overlap)
        organ = write(writer, "spleen", box(8, 13)).segmentId
        tumor = write(writer, "spleen tumor", box(9, 11)).segmentId
        np.testing.assert_array_equal(mask_in(handmade, organ, volume), box(8, 13))
        np.testing.assert_array_equal(mask_in(handmade, tumor, volume), box(9, 11))

    def test_segments_on_another_grid_are_untouched(self, handmade: Any, volume: Any) -> None:
        other = volume_node(affine_of(obliqueness(50) @ np.eye(3), (1.3, 0.9, 2.0)), (12, 15, 10), "Other")
        mask = mask_of((12, 15, 10))
        writer = writer_for(other, handmade)
        outcome = write(writer, "spleen", mask)
        write(writer, "liver tumor", mask)
        for _ in range(2):
            np.testing.assert_array_equal(mask_in(handmade, outcome.segmentId, other), mask)
            np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 8))
            writer.finish()

    def test_overwrite_reaches_segments_on_another_grid(self, handmade: Any, volume: Any) -> None:
        other = volume_node(affine_of(np.diag([-1.0, -1.0, 1.0]), (2.5, 3.0, 3.5)), (4, 4, 4), "Coarse")
        writer = writer_for(other, handmade, overlap=OverlapPolicy.OVERWRITE)
        outcome = write(writer, "spleen", np.ones((4, 4, 4), np.uint8))
        assert mask_in(handmade, outcome.segmentId, other).all()
        left = mask_in(handmade, "mine", volume)
        inside = np.stack(np.nonzero(box(2, 8)), axis=1)
        world = inside @ volumeFromNode(volume).affine[:3, :3].T + volumeFromNode(volume).affine[:3, 3]
        index = (world - volumeFromNode(other).affine[:3, 3]) @ np.linalg.inv(volumeFromNode(other).affine[:3, :3]).T
        covered = ((index > -0.5) & (index < 3.5)).all(axis=1)
        assert 0 < covered.sum() < len(covered)
        np.testing.assert_array_equal(left[tuple(inside.T)], ~covered)
        writer.journal.revert()
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 8))


class TestEmptyResult:
    def test_is_reported_and_adds_no_segment(self, volume: Any) -> None:
        writer = writer_for(volume)
        outcome = write(writer, "liver", np.zeros(SHAPE, np.uint8))
        assert (outcome.status, outcome.segmentId, outcome.volumeMl) == (OutcomeStatus.NOT_FOUND, "", 0.0)
        assert segment_ids(writer.segmentationNode) == []

    @pytest.mark.parametrize("existing", list(ExistingPolicy))
    def test_is_never_written_over_anything(self, volume: Any, handmade: Any, existing: ExistingPolicy) -> None:
        write(writer_for(volume, handmade, existing=existing), "liver", np.zeros(SHAPE, np.uint8))
        assert segment_ids(handmade) == ["mine"]
        assert handmade.GetSegmentation().GetSegment("mine").GetName() == "Liver"
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 8))


class TestSameName:
    def test_add_makes_a_new_segment_with_its_own_name(self, volume: Any, handmade: Any) -> None:
        for expected in ("liver_1", "liver_2"):
            outcome = write(writer_for(volume, handmade), "liver", box(9, 12))
            assert handmade.GetSegmentation().GetSegment(outcome.segmentId).GetName() == expected
        assert segment_ids(handmade) == ["mine", "DSM_liver", "DSM_liver_1"]
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 8))

    def test_replace_writes_into_the_existing_segment(self, volume: Any, handmade: Any) -> None:
        outcome = write(writer_for(volume, handmade, existing=ExistingPolicy.REPLACE), "liver", box(9, 12))
        assert outcome.segmentId == "mine"
        assert segment_ids(handmade) == ["mine"]
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(9, 12))

    def test_replace_can_be_taken_back_with_everything_the_segment_had(self, volume: Any, handmade: Any) -> None:
        segment = handmade.GetSegmentation().GetSegment("mine")
        segment.SetTag("Mine", "yes")
        terminology = segment.GetTerminology()
        writer = writer_for(volume, handmade, existing=ExistingPolicy.REPLACE)
        write(writer, "liver", box(9, 12))
        writer.finish()
        writer.journal.revert()
        np.testing.assert_array_equal(mask_in(handmade, "mine", volume), box(2, 8))
        assert (segment.GetName(), segment.GetColor()) == ("Liver", (0.1, 0.2, 0.3))
        assert (segment.GetTerminology(), tag_of(segment, "Mine")) == (terminology, "yes")
        assert not segment.HasTag("DSM.Prompt")
        assert Logic.GetSegmentStatus(segment) == Logic.NotStarted

    def test_skip_is_known_before_the_run(self, volume: Any, handmade: Any) -> None:
        writer = writer_for(volume, handmade, existing=ExistingPolicy.SKIP)
        assert writer.isSkipped(prompt("liver"))
        assert not writer.isSkipped(prompt("spleen"))
        assert not writer_for(volume, handmade).isSkipped(prompt("liver"))


class TestDescription:
    def test_segment_says_what_it_is_and_what_made_it(self, volume: Any) -> None:
        writer = writer_for(volume)
        outcome = writer.write(found("Left Kidney", mask_of(), score=0.876), PROVENANCE)
        segment = writer.segmentationNode.GetSegmentation().GetSegment(outcome.segmentId)
        structure = prompt("left kidney").structure
        assert outcome.segmentId == "DSM_left_kidney"
        assert segment.GetName() == "left kidney"
        assert segment.GetTerminology() == structure.terminology.to_tag()
        np.testing.assert_allclose(segment.GetColor(), np.array(structure.color) / 255)
        assert Logic.GetSegmentStatus(segment) == Logic.InProgress
        expected = {
            "DICOM.SegmentAlgorithmType": "AUTOMATIC",
            "DICOM.SegmentAlgorithmName": "DSMSegment dsm-small 0.1.0",
            "DSM.Prompt": "Left Kidney",
            "DSM.Model": "dsm-small",
            "DSM.ModelSHA256": "ab" * 32,
            "DSM.Version": "0.1.0",
            "DSM.Device": "cpu",
            "DSM.Score": "0.876",
            "DSM.Threshold": "0.5",
        }
        assert {name: tag_of(segment, name) for name in expected} == expected
        assert tag_of(segment, "DSM.Created").endswith("+00:00")

    def test_algorithm_name_fits_dicom(self) -> None:
        assert len(Provenance("m" * 100, version="1").algorithm_name) == 64

    @pytest.mark.parametrize(("text", "expected"), [("glorp", "Tissue"), ("glorp tumor", "Mass")])
    def test_free_text_can_be_exported_and_keeps_its_color(self, volume: Any, text: str, expected: str) -> None:
        colors = set()
        for _ in range(2):
            writer = writer_for(volume)
            outcome = write(writer, text, mask_of())
            segment = writer.segmentationNode.GetSegmentation().GetSegment(outcome.segmentId)
            assert segment.GetTerminology().split("~")[2].endswith(f"^{expected}")
            assert any("not in the vocabulary" in warning for warning in outcome.warnings)
            colors.add(segment.GetColor())
        assert len(colors) == 1

    def test_name_in_another_script_is_kept(self, volume: Any) -> None:
        writer = writer_for(volume)
        outcome = write(writer, "печень", mask_of())
        assert outcome.segmentId == "DSM_segment"
        assert writer.segmentationNode.GetSegmentation().GetSegment("DSM_segment").GetName() == "печень"


class TestPlace:
    def test_new_node_is_beside_its_volume(self, volume: Any) -> None:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
        hierarchy.CreateItem(study, volume)
        writer = writer_for(volume)
        write(writer, "liver", mask_of())
        node = writer.segmentationNode
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
        assert node.GetName() == "CT segmentation"
        assert node.GetDisplayNode() is not None
        assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume

    def test_place_that_the_user_chose_is_kept(self, volume: Any) -> None:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        mine = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Mine")
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
        hierarchy.CreateItem(study, volume)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        item = hierarchy.CreateItem(mine, node)
        write(writer_for(volume, node), "liver", mask_of())
        assert hierarchy.GetItemParent(item) == mine

    def test_closed_surfaces_are_refused_and_stay(self, volume: Any, handmade: Any) -> None:
        handmade.CreateClosedSurfaceRepresentation()
        handmade.SetSourceRepresentationToClosedSurface()
        with pytest.raises(InputError, match="closed surface"):
            writer_for(volume, handmade)
        assert handmade.GetSegmentation().GetSourceRepresentationName() == "Closed surface"

    def test_surface_in_3d_is_made_for_the_new_segment_too(self, volume: Any, handmade: Any) -> None:
        handmade.CreateClosedSurfaceRepresentation()
        outcome = write(writer_for(volume, handmade), "spleen", box(9, 12))
        segment = handmade.GetSegmentation().GetSegment(outcome.segmentId)
        assert segment.GetRepresentation("Closed surface").GetNumberOfPoints() > 0

    def test_nothing_is_left_of_a_run_that_is_taken_back(self, volume: Any) -> None:
        slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        before = slicer.mrmlScene.GetNumberOfNodes()
        writer = writer_for(volume)
        write(writer, "liver", mask_of())
        writer.journal.revert()
        assert slicer.mrmlScene.GetNumberOfNodes() == before

    @pytest.mark.parametrize("existing", [ExistingPolicy.ADD, ExistingPolicy.REPLACE])
    def test_run_is_taken_back_after_its_segment_was_deleted(self, volume: Any, existing: ExistingPolicy) -> None:
        node = writer_with(volume, "liver").segmentationNode
        writer = writer_for(volume, node, existing=existing)
        segmentation = node.GetSegmentation()
        kept = write(writer, "spleen", box(2, 5)).segmentId
        gone = write(writer, "liver", box(5, 8)).segmentId
        segmentation.RemoveSegment(gone)
        writer.journal.revert()  # the error log, which all tests here look at, stays empty
        assert kept not in segment_ids(node)
        assert segment_ids(node) == ([] if existing is ExistingPolicy.REPLACE else ["DSM_liver"])

    def test_node_with_a_segment_of_the_user_stays_when_its_run_is_taken_back(self, volume: Any) -> None:
        writer = writer_for(volume)
        write(writer, "liver", mask_of())
        writer.segmentationNode.GetSegmentation().AddEmptySegment("drawn", "drawn meanwhile")
        writer.journal.revert()
        assert writer.segmentationNode.GetScene() is not None
        assert segment_ids(writer.segmentationNode) == ["drawn"]
