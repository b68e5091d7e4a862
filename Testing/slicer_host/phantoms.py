"""Small volumes and masks without any symmetry, so that a flip or a swapped axis cannot go unseen."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import slicer
import vtk

from dsm.core.boxes import CroppedArray
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.text.prompt import parse_prompts

SHAPE = (14, 11, 9)
SPACING_MM = (0.7, 1.1, 3.0)
ORIGIN_MM = (-37.5, 12.25, 81.0)

# All 48 ways to lay three axes along the patient's, half of them with a negative determinant.
AXIS_ORDERS = [
    np.eye(3)[:, list(order)] * signs for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)
]


def obliqueness(degrees: float) -> np.ndarray:
    """Return a rotation about an axis that is none of the patient's."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
    cross = np.cross(np.eye(3), axis)
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def affine_of(directions: np.ndarray, spacing_mm: tuple[float, ...] = SPACING_MM) -> np.ndarray:
    """Return the affine of a grid with these direction columns."""
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing_mm)
    affine[:3, 3] = ORIGIN_MM
    return affine


def plain_affine() -> np.ndarray:
    """Return the usual affine of a CT: left and posterior are the first axes' directions."""
    return affine_of(np.diag([-1.0, -1.0, 1.0]))


def mask_of(shape: tuple[int, ...] = SHAPE, *, seed: int = 0) -> np.ndarray:
    """Return a ragged mask in a box that is off centre along every axis."""
    mask = np.zeros(shape, np.uint8)
    mask[1:8, 3:9, 2:6] = np.random.default_rng(seed).integers(0, 2, (7, 6, 4))
    mask[1, 3, 2] = mask[7, 8, 5] = 1
    return mask


def volume_node(affine: np.ndarray, shape: tuple[int, ...] = SHAPE, name: str = "CT") -> Any:
    """Add a CT of noise to the scene, `[I, J, K]` of `shape`."""
    voxels = np.random.default_rng(1).integers(-1000, 400, shape).astype(np.int16)
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(voxels.transpose(2, 1, 0)), affine, name)


def warp() -> Any:
    """A transform that is no matrix."""
    thin_plate = vtk.vtkThinPlateSplineTransform()
    points = [vtk.vtkPoints(), vtk.vtkPoints()]
    for x, y, z in np.ndindex(2, 2, 2):
        points[0].InsertNextPoint(x * 100, y * 100, z * 100)
        points[1].InsertNextPoint(x * 100 + 9 * y * z, y * 100, z * 100)
    thin_plate.SetSourceLandmarks(points[0])
    thin_plate.SetTargetLandmarks(points[1])
    thin_plate.SetBasisToR()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    node.SetAndObserveTransformToParent(thin_plate)
    return node


def browser_of_frames(volume: Any, values: tuple[int, ...]) -> Any:
    """Make a volume show a 4D image, each sequence item of one value; the second one is shown."""
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Frames")
    shape = slicer.util.arrayFromVolume(volume).shape
    for number, value in enumerate(values):
        slicer.util.updateVolumeFromArray(volume, np.full(shape, value, np.int16))
        sequence.SetDataNodeAtValue(volume, str(number))
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.AddProxyNode(volume, sequence, False)
    browser.SetSelectedItemNumber(1)
    # The scene makes its subject hierarchy at the first use, and keeps it.
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return browser


def prompt(text: str) -> Prompt:
    """Parse one prompt."""
    (one,) = parse_prompts(text)
    return one


def found(text: str, mask: np.ndarray, *, score: float = 0.9) -> PromptResult:
    """Wrap a full mask as what the network would have found."""
    is_there = bool(mask.any())
    return PromptResult(
        prompt=prompt(text),
        mask=CroppedArray.from_mask(mask),
        shape=mask.shape,
        found=is_there,
        score=score if is_there else None,
        volume_ml=0.0,
        seconds=0.1,
        threshold=0.5,
    )


def mask_in(node: Any, segment_id: str, reference: Any) -> np.ndarray:
    """Return a segment on the grid of a volume, `[I, J, K]`, as Slicer itself samples it."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, reference).transpose(2, 1, 0)


def segment_ids(node: Any) -> list[str]:
    """Return the ids of all segments."""
    return list(node.GetSegmentation().GetSegmentIDs())


def segment_of(node: Any, segment_id: str) -> Any:
    """Return a segment."""
    return node.GetSegmentation().GetSegment(segment_id)


def tag_of(segment: Any, name: str) -> str:
    """Return a tag of a segment."""
    import vtk

    value = vtk.mutable("")
    assert segment.GetTag(name, value), f"the segment has no tag {name}"
    return str(value)


def roi_node(volume: Any, start: tuple[int, int, int], stop: tuple[int, int, int]) -> Any:
    """Add an ROI that covers voxels `start` to `stop` of a volume whose axes are the patient's, but for their signs."""
    matrix = slicer.util.arrayFromVTKMatrix(_ijk_to_ras(volume))
    low, high = (matrix @ [*np.subtract(corner, 0.49 if corner == start else 0.51), 1.0] for corner in (start, stop))
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    roi.SetCenter(*((low + high) / 2)[:3])
    roi.SetSize(*np.abs(high - low)[:3])
    return roi


def _ijk_to_ras(volume: Any) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix
