"""Volumes that the user has moved: the result lies where the volume is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from phantoms import SHAPE, affine_of, found, mask_in, mask_of, obliqueness, plain_affine, volume_node, warp
from vtk.util import numpy_support

from dsm.errors import GeometryError
from DSMSegmentLib import JobState, Provenance, SegmentationJob, SegmentationWriter, volumeFromNode
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.mrml import orientedImageFromSegment

FAKE = Provenance("fake")


def linear_transform(seed: int = 3) -> Any:
    """A turn, a shift and a little scaling: what registration gives."""
    matrix = np.eye(4)
    matrix[:3, :3] = obliqueness(17.0 * seed) * 1.1
    matrix[:3, 3] = 5.0 * seed, -3.0, 9.0
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def moved_volume(transform: Any, name: str = "CT") -> Any:
    volume = volume_node(affine_of(obliqueness(25) @ np.diag([-1.0, -1.0, 1.0])), name=name)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    return volume


def write(volume: Any, node: Any, mask: np.ndarray) -> tuple[Any, str]:
    writer = SegmentationWriter(volume, volumeFromNode(volume).affine, node)
    outcome = writer.write(found("liver", mask), FAKE)
    return writer.segmentationNode, outcome.segmentId


def test_new_segmentation_follows_the_parent_of_the_volume() -> None:
    transform = linear_transform()
    volume = moved_volume(transform)
    node, segment_id = write(volume, None, mask_of())
    assert node.GetParentTransformNode() is transform
    np.testing.assert_array_equal(mask_in(node, segment_id, volume), mask_of())


def test_voxel_lies_at_its_place_in_the_world() -> None:
    transform = linear_transform()
    volume = moved_volume(transform)
    mask = np.zeros(SHAPE, np.uint8)
    mask[9, 1, 6] = 1
    node, segment_id = write(volume, None, mask)
    to_world = slicer.util.arrayFromTransformMatrix(transform)
    expected = to_world @ volumeFromNode(volume).affine @ [9, 1, 6, 1]
    local = node.GetSegmentCenter(segment_id)
    np.testing.assert_allclose((to_world @ [*local, 1])[:3], expected[:3], atol=1e-9)
    np.testing.assert_allclose(node.GetSegmentCenterRAS(segment_id), expected[:3], atol=1e-6)


def test_result_stays_on_the_volume_when_both_move_on() -> None:
    transform = linear_transform()
    volume = moved_volume(transform)
    node, segment_id = write(volume, None, mask_of())
    outer = linear_transform(seed=5)
    transform.SetAndObserveTransformNodeID(outer.GetID())
    np.testing.assert_array_equal(mask_in(node, segment_id, volume), mask_of())


def test_segmentation_under_another_matrix_gets_the_mask_at_the_same_place() -> None:
    volume = moved_volume(linear_transform())
    other = volume_node(plain_affine(), name="Other")
    node, _ = write(other, None, mask_of(seed=7))
    other_transform = linear_transform(seed=2)
    node.SetAndObserveTransformNodeID(other_transform.GetID())
    _, segment_id = write(volume, node, mask_of())
    # Not read back through Slicer's own sampling: across two transforms that is not exact.
    image = orientedImageFromSegment(node, segment_id)
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    voxels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    voxels = voxels.reshape(image.GetDimensions(), order="F")
    np.testing.assert_array_equal(voxels, mask_of()[i0 : i1 + 1, j0 : j1 + 1, k0 : k1 + 1])
    assert np.count_nonzero(voxels) == np.count_nonzero(mask_of())
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    np.testing.assert_allclose(
        slicer.util.arrayFromTransformMatrix(other_transform) @ slicer.util.arrayFromVTKMatrix(matrix),
        slicer.util.arrayFromTransformMatrix(volume.GetParentTransformNode()) @ volumeFromNode(volume).affine,
        atol=1e-9,
    )


def test_empty_segmentation_is_moved_under_the_parent_of_the_volume() -> None:
    transform = linear_transform()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    write(moved_volume(transform), node, mask_of())
    assert node.GetParentTransformNode() is transform


def test_warped_volume_is_segmented_as_it_was_with_a_warning() -> None:
    volume = moved_volume(warp())
    job = SegmentationJob(volume, "liver", FakeBackend({"liver": mask_of()}))
    assert job.wait() is JobState.FINISHED
    assert "non-linear" in job.warnings[0]
    assert job.segmentationNode.GetParentTransformNode() is volume.GetParentTransformNode()
    written = slicer.util.arrayFromSegmentInternalBinaryLabelmap(job.segmentationNode, job.outcomes[0].segmentId)
    assert np.count_nonzero(written) == np.count_nonzero(mask_of())


def test_segments_under_another_warp_are_refused_before_anything_is_done() -> None:
    node, _ = write(volume_node(plain_affine(), name="Other"), None, mask_of())
    volume = moved_volume(warp())
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(GeometryError, match="non-linear"):
        SegmentationJob(volume, "liver", FakeBackend({}), segmentationNode=node)
    assert slicer.mrmlScene.GetNumberOfNodes() == before
