"""Segments are shown in colours that differ; the segments themselves keep the standard ones, or the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from phantoms import found, mask_of, plain_affine, volume_node
from scene_host import SceneHost

from dsm.core.display_colors import difference
from DSMSegmentLib import ExistingPolicy, Provenance, SegmentationWriter
from DSMSegmentLib.scene.placement import createSegmentation
from DSMSegmentLib.scene.segment_display import setOwnColor, showDistinctly, shownColor
from DSMSegmentWeb.exports import export

LIVER, STOMACH, TUMOR = "DSM_liver", "DSM_stomach", "DSM_liver_tumor"


PROVENANCE = Provenance("dsm-small")


@pytest.fixture
def segmentation() -> tuple[Any, Any]:
    volume = volume_node(plain_affine())
    return createSegmentation(volume), volume


def write(segmentation: tuple[Any, Any], text: str, existing: ExistingPolicy = ExistingPolicy.ADD) -> None:
    node, volume = segmentation
    writer = SegmentationWriter(volume, plain_affine(), node, existing=existing)
    for name in text.split("; "):
        writer.write(found(name, mask_of()), PROVENANCE)
    writer.finish()
    showDistinctly(node)


def standard(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> tuple[int, ...]:
    return tuple(round(255 * channel) for channel in node.GetSegmentation().GetSegment(segment_id).GetColor())


def test_colors_in_the_views_differ_and_those_of_files_stay(segmentation: Any) -> None:
    node, _ = segmentation
    write(segmentation, "liver; stomach")
    assert difference(standard(node, LIVER), standard(node, STOMACH)) < 5
    assert difference(shownColor(node, LIVER), shownColor(node, STOMACH)) > 20


def test_scene_of_the_page_has_the_standard_colors_in_slicer(
    segmentation: Any, host: SceneHost, tmp_path: Path
) -> None:
    write(segmentation, "liver; stomach")
    node, volume = segmentation
    shown = [shownColor(node, segment_id) for segment_id in (LIVER, STOMACH)]
    path = export("mrb", volume, node, tmp_path)
    assert [shownColor(node, segment_id) for segment_id in (LIVER, STOMACH)] == shown
    host.loadScene(path)
    opened = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    for segment_id in (LIVER, STOMACH):
        assert shownColor(opened, segment_id) == standard(opened, segment_id) not in shown


def test_no_color_changes_when_another_segment_comes(segmentation: Any) -> None:
    node, _ = segmentation
    write(segmentation, "liver")
    before = shownColor(node, LIVER)
    write(segmentation, "stomach; spleen; aorta")
    assert shownColor(node, LIVER) == before


def test_color_of_the_user_stays_when_its_segment_is_replaced(segmentation: Any) -> None:
    node, _ = segmentation
    write(segmentation, "liver")
    setOwnColor(node, LIVER, (10, 200, 30))
    write(segmentation, "liver; stomach", ExistingPolicy.REPLACE)
    assert list(node.GetSegmentation().GetSegmentIDs()) == [LIVER, STOMACH]
    assert shownColor(node, LIVER) == standard(node, LIVER) == (10, 200, 30)
    assert difference(shownColor(node, STOMACH), (10, 200, 30)) > 20


def test_organ_lets_its_lesion_through_while_that_is_shown(segmentation: Any) -> None:
    node, _ = segmentation
    write(segmentation, "liver; spleen")
    display = node.GetDisplayNode()
    assert display.GetSegmentOpacity3D(LIVER) == 1
    write(segmentation, "liver tumor")
    assert display.GetSegmentOpacity3D(LIVER) < 0.5
    assert display.GetSegmentOpacity2DFill(LIVER) < 0.5
    assert [display.GetSegmentOpacity3D(id_) for id_ in ("DSM_spleen", TUMOR)] == [1, 1]
    display.SetSegmentVisibility(TUMOR, False)
    showDistinctly(node)
    assert display.GetSegmentOpacity3D(LIVER) == 1


def test_segment_drawn_by_hand_keeps_its_color(segmentation: Any) -> None:
    node, _ = segmentation
    node.GetSegmentation().AddEmptySegment("mine", "mine", (0.8, 1.0, 0.0))
    write(segmentation, "liver")
    assert shownColor(node, "mine") == (204, 255, 0)
    assert difference(shownColor(node, LIVER), (204, 255, 0)) > 20
