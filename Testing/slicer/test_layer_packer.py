"""Segments share layers, and their masks stay what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import found, mask_in, plain_affine, segment_ids, volume_node

from dsm.core.boxes import CroppedArray
from DSMSegmentLib import Provenance, SegmentationWriter
from DSMSegmentLib.scene.layer_packer import LayerPacker, packLayers
from DSMSegmentLib.scene.mrml import orientedImageFromCrop, setSegmentMask

pytest.importorskip("panel_host", reason="PySide6 is not installed")
SHAPE = (14, 11, 9)


def box(start: tuple[int, int, int], stop: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 1
    return mask


MASKS = {
    "liver": box((1, 2, 3), (6, 6, 6)),
    "spleen": box((7, 1, 1), (9, 9, 8)),
    "liver tumor": box((2, 3, 3), (4, 5, 5)),  # inside the liver
    "aorta": box((10, 0, 0), (13, 3, 9)),
}


@pytest.fixture
def volume() -> Any:
    return volume_node(plain_affine(), SHAPE)


@pytest.fixture
def node(volume: Any) -> Any:
    writer = SegmentationWriter(volume, plain_affine(), None, keepEmpty=True)
    for name, mask in {**MASKS, "pancreas": np.zeros(SHAPE, np.uint8)}.items():
        writer.write(found(name, mask), Provenance("test"))
    node = writer.segmentationNode
    for id_ in segment_ids(node):  # as Slicer leaves them where their boxes overlap
        node.GetSegmentation().SeparateSegmentLabelmap(id_)
    assert layers_of(node) == len(MASKS) + 1
    return node


@pytest.fixture
def packer() -> LayerPacker:
    return LayerPacker(lambda: None, lambda: None)


def layers_of(node: Any) -> int:
    return int(node.GetSegmentation().GetNumberOfLayers())


def assert_masks(node: Any, volume: Any, **changed: np.ndarray) -> None:
    for id_, mask in zip(segment_ids(node), {**MASKS, **changed}.values(), strict=False):
        np.testing.assert_array_equal(mask_in(node, id_, volume), mask, err_msg=id_)


def test_layers_are_as_few_as_slicer_makes_them(node: Any, volume: Any) -> None:
    other = slicer.vtkSegmentation()
    other.DeepCopy(node.GetSegmentation())
    other.CollapseBinaryLabelmaps(False)
    ids = segment_ids(node)
    packLayers(node)
    assert layers_of(node) == other.GetNumberOfLayers() == 2  # the tumor lies in the liver
    assert segment_ids(node) == ids
    assert_masks(node, volume)
    packLayers(node)
    assert_masks(node, volume)


def test_scene_sees_one_change_at_the_end(node: Any, packer: LayerPacker) -> None:
    before, time = layers_of(node), node.GetSegmentation().GetMTime()
    packer.start(node)
    for _ in range(3):
        packer._step()
    assert (layers_of(node), node.GetSegmentation().GetMTime()) == (before, time)
    packer.finish()
    assert layers_of(node) < before


def test_surfaces_stay(node: Any) -> None:
    node.CreateClosedSurfaceRepresentation()
    surface = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Closed surface")
    packLayers(node)
    assert node.GetSegmentation().GetNthSegment(0).GetRepresentation("Closed surface") is surface


def test_packed_segment_can_be_changed_alone(node: Any, volume: Any) -> None:
    packLayers(node)
    moved = box((6, 6, 6), (9, 9, 9))
    image = orientedImageFromCrop(CroppedArray.from_mask(moved), plain_affine())
    assert setSegmentMask(node, segment_ids(node)[0], image)
    assert_masks(node, volume, liver=moved)


@pytest.mark.parametrize("steps", [0, 1, 4, 6])
def test_change_meanwhile_is_kept(node: Any, volume: Any, packer: LayerPacker, steps: int) -> None:
    packer.start(node)
    for _ in range(steps):
        packer._step()
    moved = box((6, 6, 6), (9, 9, 9))
    setSegmentMask(node, segment_ids(node)[0], orientedImageFromCrop(CroppedArray.from_mask(moved), plain_affine()))
    packer.finish()
    assert_masks(node, volume, liver=moved)
    assert layers_of(node) <= 3  # the moved liver may overlap the spleen


@pytest.mark.parametrize("steps", range(10))
def test_segment_that_is_cleared_meanwhile(node: Any, volume: Any, packer: LayerPacker, steps: int) -> None:
    """Slicer empties the image of a layer that it clears: it has no voxels to read any more."""
    packer.start(node)
    for _ in range(steps):
        packer._step()
    node.GetSegmentation().ClearSegment(segment_ids(node)[3])
    packer.finish()
    assert_masks(node, volume, aorta=np.zeros(SHAPE, np.uint8))
    assert layers_of(node) <= 3


@pytest.mark.parametrize(
    "change",
    [
        lambda node: node.GetSegmentation().RemoveSegment(segment_ids(node)[1]),
        lambda node: node.GetSegmentation().AddEmptySegment("new", "new"),
        lambda node: node.GetScene().RemoveNode(node),
    ],
)
def test_segments_that_come_and_go_meanwhile(node: Any, packer: LayerPacker, change: Callable[[Any], None]) -> None:
    packer.start(node)
    for _ in range(3):
        packer._step()
    change(node)
    left = segment_ids(node)
    packer.finish()
    assert segment_ids(node) == left


def test_layers_on_different_grids_are_left_alone(node: Any, volume: Any) -> None:
    finer = plain_affine() @ np.diag([0.5, 1.0, 1.0, 1.0])
    image = orientedImageFromCrop(CroppedArray.from_mask(MASKS["liver"]), finer)
    setSegmentMask(node, segment_ids(node)[0], image)
    before = layers_of(node)
    packLayers(node)
    assert layers_of(node) == before
