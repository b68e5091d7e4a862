"""What a run wrote survives saving and loading, in Slicer's two formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import affine_of, finding, mask_in, mask_of, obliqueness, prompt, tag_of, volume_node
from scene_host import SceneHost

from DSMSegmentLib import Provenance, SegmentationWriter, volumeFromNode

MASKS = {"liver": mask_of(seed=1), "liver tumor": mask_of(seed=2), "left kidney": mask_of(seed=3)}
TAGS = [
    "DSM.Prompt",
    "DSM.Model",
    "DSM.Score",
    "DSM.Created",
    "DICOM.SegmentAlgorithmType",
    "DICOM.SegmentAlgorithmName",
]
Logic = slicer.vtkSlicerSegmentationsModuleLogic


@pytest.fixture
def saved(host: SceneHost, tmp_path: Path) -> tuple[Path, dict[str, tuple[Any, ...]]]:
    """A folder with `scene.mrb`, `ct.nrrd` and `result.seg.nrrd`, and what was described in them."""
    volume = volume_node(affine_of(obliqueness(33) @ np.diag([-1.0, -1.0, 1.0])))
    writer = SegmentationWriter(volume, volumeFromNode(volume).affine, None)
    for text, mask in MASKS.items():
        writer.write(prompt(text), finding(mask), Provenance("dsm-small", "cd" * 32, "0.1.0", "cpu"))
    writer.finish()
    node = writer.segmentationNode
    node.SetName("Result")
    host.saveNode(volume, tmp_path / "ct.nrrd")
    host.saveNode(node, tmp_path / "result.seg.nrrd")
    host.saveScene(tmp_path / "scene.mrb")
    return tmp_path, described(node)


def described(node: Any) -> dict[str, tuple[Any, ...]]:
    segmentation = node.GetSegmentation()
    rows = {}
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        tags = [tag_of(segment, name) for name in TAGS]
        color = tuple(round(255 * channel) for channel in segment.GetColor())
        rows[segment_id] = (segment.GetName(), color, segment.GetTerminology(), Logic.GetSegmentStatus(segment), *tags)
    return rows


def assert_masks(node: Any, volume: Any) -> None:
    for segment_id, mask in zip(("DSM_liver", "DSM_liver_tumor", "DSM_left_kidney"), MASKS.values(), strict=True):
        np.testing.assert_array_equal(mask_in(node, segment_id, volume), mask)


def test_scene_file_brings_everything_back(host: SceneHost, saved: tuple[Path, dict[str, tuple[Any, ...]]]) -> None:
    folder, before = saved
    host.loadScene(folder / "scene.mrb")
    node, volume = slicer.util.getNode("Result"), slicer.util.getNode("CT")
    assert described(node) == before
    assert_masks(node, volume)


def test_segmentation_file_brings_everything_back(
    host: SceneHost, saved: tuple[Path, dict[str, tuple[Any, ...]]]
) -> None:
    folder, before = saved
    host.scene.Clear(True)
    volume = host.loadVolume(folder / "ct.nrrd")
    node = host.loadSegmentation(folder / "result.seg.nrrd")
    assert described(node) == before
    assert_masks(node, volume)


def test_other_programs_read_names_colors_and_masks(saved: tuple[Path, dict[str, tuple[Any, ...]]]) -> None:
    slicerio = pytest.importorskip("slicerio")
    folder, before = saved
    segmentation = slicerio.read_segmentation(str(folder / "result.seg.nrrd"))
    assert slicerio.segment_names(segmentation) == list(MASKS)
    for segment, row in zip(segmentation["segments"], before.values(), strict=True):
        assert [round(255 * channel) for channel in segment["color"]] == list(row[1])
        assert segment["tags"]["DSM.Prompt"] == row[0]
