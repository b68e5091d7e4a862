"""Volume nodes to arrays and masks back: a mask lies where the voxels lie, whatever the axes of the volume."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from phantoms import (
    AXIS_ORDERS,
    SHAPE,
    affine_of,
    found,
    mask_in,
    mask_of,
    obliqueness,
    plain_affine,
    volume_node,
)

from dsm.core.boxes import CroppedArray
from dsm.errors import GeometryError, InputError, ShapeError
from DSMSegmentLib import Provenance, SegmentationWriter, volumeFromNode
from DSMSegmentLib.scene.mrml import cropFromOrientedImage, modalityOfNode, orientedImageFromCrop, setVolume

GRIDS = [(order, degrees) for order in range(len(AXIS_ORDERS)) for degrees in (0, 30)]


def grid(order: int, degrees: float) -> np.ndarray:
    return affine_of(obliqueness(degrees) @ AXIS_ORDERS[order])


@pytest.mark.parametrize(("order", "degrees"), GRIDS)
def test_mask_comes_back_voxel_for_voxel(order: int, degrees: float) -> None:
    volume = volume_node(grid(order, degrees))
    mask = mask_of()
    writer = SegmentationWriter(volume, volumeFromNode(volume).affine, None)
    outcome = writer.write(found("liver", mask), Provenance("fake"))
    np.testing.assert_array_equal(mask_in(writer.segmentationNode, outcome.segmentId, volume), mask)


@pytest.mark.parametrize(("order", "degrees"), GRIDS)
def test_one_voxel_lies_at_its_place_in_the_patient(order: int, degrees: float) -> None:
    affine = grid(order, degrees)
    volume = volume_node(affine)
    index = (10, 2, 7)
    mask = np.zeros(SHAPE, np.uint8)
    mask[index] = 1
    writer = SegmentationWriter(volume, volumeFromNode(volume).affine, None)
    outcome = writer.write(found("liver", mask), Provenance("fake"))
    center = writer.segmentationNode.GetSegmentCenterRAS(outcome.segmentId)
    np.testing.assert_allclose(center, (affine @ [*index, 1])[:3], atol=1e-9)


@pytest.mark.parametrize(("order", "degrees"), GRIDS)
def test_volume_has_the_affine_of_its_node(order: int, degrees: float) -> None:
    affine = grid(order, degrees)
    np.testing.assert_allclose(volumeFromNode(volume_node(affine)).affine, affine, atol=1e-12)


@pytest.mark.parametrize(("order", "degrees"), GRIDS)
def test_volume_that_is_set_comes_back(order: int, degrees: float) -> None:
    volume = volumeFromNode(volume_node(grid(order, degrees)))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    setVolume(node, volume)
    again = volumeFromNode(node)
    np.testing.assert_array_equal(again.array, volume.array)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 4, 5), (0, 0, 0)])
def test_crop_comes_back_from_its_image(shape: tuple[int, int, int]) -> None:
    crop = CroppedArray(
        np.random.default_rng(0).integers(0, 2, shape).astype(np.uint8), (2, 1, 0) if shape[0] else (0, 0, 0)
    )
    again = cropFromOrientedImage(orientedImageFromCrop(crop, np.eye(4)))
    assert again.offset_ijk == crop.offset_ijk
    np.testing.assert_array_equal(again.array, crop.array)


def test_axis_orders_are_48_and_half_are_mirrored() -> None:
    determinants = [np.linalg.det(order) for order in AXIS_ORDERS]
    assert len({order.tobytes() for order in AXIS_ORDERS}) == 48
    assert sum(determinant < 0 for determinant in determinants) == 24


def test_array_is_a_view_of_the_node_in_index_order() -> None:
    node = volume_node(plain_affine())
    volume = volumeFromNode(node)
    voxels = slicer.util.arrayFromVolume(node)
    assert volume.shape == SHAPE
    assert np.shares_memory(volume.array, voxels)
    assert volume.array[3, 5, 7] == voxels[7, 5, 3]


def test_view_outlives_its_node() -> None:
    node = volume_node(plain_affine())
    volume = volumeFromNode(node)
    before = volume.array.copy()
    slicer.mrmlScene.RemoveNode(node)
    del node
    np.testing.assert_array_equal(volume.array, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_any_real_voxel_type_is_taken(dtype: type) -> None:
    voxels = np.arange(np.prod(SHAPE)).reshape(SHAPE[::-1]).astype(dtype)
    volume = volumeFromNode(slicer.util.addVolumeFromArray(voxels, plain_affine()))
    assert volume.array.dtype == dtype
    np.testing.assert_array_equal(volume.array, voxels.transpose(2, 1, 0))


@pytest.mark.parametrize("offset", [(0, 0, 0), (3, 0, 5)])
def test_crop_keeps_its_place_in_memory_of_any_order(offset: tuple[int, int, int]) -> None:
    crop = mask_of((8, 9, 6))
    for array in (np.ascontiguousarray(crop), np.asfortranarray(crop), crop[::-1, :, ::-1], crop.astype(bool)):
        image = orientedImageFromCrop(CroppedArray(array, offset), plain_affine())
        i, j, k = offset
        assert image.GetExtent() == (i, i + 7, j, j + 8, k, k + 5)
        assert image.GetScalarComponentAsDouble(i + 2, j + 4, k + 3, 0) == array[2, 4, 3]


def test_voxels_are_looked_at_once_for_the_modality_until_they_change() -> None:
    volume = volume_node(plain_affine())
    assert modalityOfNode(volume) == "CT"
    slicer.util.arrayFromVolume(volume)[:] = 40  # and nobody is told: whoever looks would see an MR
    assert modalityOfNode(volume) == "CT"
    slicer.util.arrayFromVolumeModified(volume)
    assert modalityOfNode(volume) == "MR"
    assert modalityOfNode(volume_node(plain_affine(), name="Other")) == "CT"


def test_modality_follows_units_then_dicom_then_values() -> None:
    assert volumeFromNode(volume_node(plain_affine())).modality == "CT"
    positive = np.full(SHAPE[::-1], 100, np.int16)
    mr = slicer.util.addVolumeFromArray(positive, plain_affine())
    assert volumeFromNode(mr).modality == "MR"
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), mr)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    assert volumeFromNode(mr).modality == "CT"
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    hounsfield = slicer.vtkCodedEntry()
    hounsfield.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    mr.SetVoxelValueUnits(hounsfield)
    assert volumeFromNode(mr).modality == "CT"


def test_the_reason_is_said_and_the_user_has_the_last_word() -> None:
    node = volume_node(plain_affine())
    (note,) = volumeFromNode(node).notes
    assert note.text.startswith("Taken for CT: ")
    chosen = volumeFromNode(node, "MR")
    assert (chosen.modality, chosen.notes[0].text) == ("MR", "Taken for MR, as you chose.")
    assert modalityOfNode(node, "MR") == "MR"
    hounsfield = slicer.vtkCodedEntry()
    hounsfield.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    node.SetVoxelValueUnits(hounsfield)
    assert "Hounsfield" in volumeFromNode(node).notes[0].text
    assert volumeFromNode(node, "MR").modality == "MR"


class TestInputThatCannotBeUsed:
    def test_no_volume(self) -> None:
        with pytest.raises(InputError, match="No volume"):
            volumeFromNode(None)

    def test_label_map(self) -> None:
        node = slicer.util.addVolumeFromArray(
            np.zeros((4, 5, 6), np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode", name="Labels"
        )
        with pytest.raises(InputError, match="label map") as caught:
            volumeFromNode(node)
        assert caught.value.code == "input.labelmap"

    def test_node_without_image(self) -> None:
        with pytest.raises(InputError, match="no image"):
            volumeFromNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty"))

    def test_single_slice(self) -> None:
        with pytest.raises(ShapeError, match="at least 2"):
            volumeFromNode(volume_node(plain_affine(), (8, 8, 1)))

    def test_color_image(self) -> None:
        node = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6, 3), np.uint8), nodeClassName="vtkMRMLVectorVolumeNode")
        with pytest.raises(ShapeError, match="4 axes"):
            volumeFromNode(node)

    def test_not_finite(self) -> None:
        voxels = np.zeros((4, 5, 6), np.float32)
        voxels[1, 2, 3] = np.nan
        with pytest.raises(ShapeError, match="not finite"):
            volumeFromNode(slicer.util.addVolumeFromArray(voxels))

    def test_sheared_axes(self) -> None:
        sheared = plain_affine()
        sheared[0, 2] = 1.0
        node = volume_node(plain_affine())
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(sheared.ravel().tolist())
        node.SetIJKToRASMatrix(matrix)
        with pytest.raises(GeometryError, match="right angles"):
            volumeFromNode(node)
