"""Clicks of segments as Markups points: where they are, what keeps them, and what takes them away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import view_mouse
from phantoms import affine_of, obliqueness, plain_affine, volume_node, warp

from dsm.core.click import Click
from DSMSegmentLib.scene.click_list import (
    addClick,
    clickListOf,
    clicksOf,
    ensureClickList,
    setClicks,
    showKinds,
    takeBackLast,
)
from DSMSegmentLib.scene.click_watch import ClickWatch
from DSMSegmentLib.scene.placement import createSegmentation, removeSegmentation

HERE, THERE = (-40.0, 8.0, 90.0), (-41.0, 5.0, 96.0)
CLICKS = (Click(HERE), Click(THERE, inside=False))


@pytest.fixture
def node(volume: Any) -> Any:
    node = createSegmentation(volume)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name in ("liver", "spleen"):
        node.GetSegmentation().AddEmptySegment(name, name)
    return node


@pytest.fixture
def points(node: Any, volume: Any) -> Any:
    return ensureClickList(node, "liver", volume)


class Calls:
    """Events of a `ClickWatch`."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []
        self.changed: list[str] = []
        self.watch = ClickWatch(
            lambda _node, segment_id, clicks: self.found.append((segment_id, len(clicks))),
            lambda _node, segment_id: self.changed.append(segment_id),
            lambda _points: None,
        )


@pytest.fixture
def calls() -> Any:
    calls = Calls()
    yield calls
    calls.watch.close()


def linear_transform(degrees: float) -> Any:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    affine = affine_of(obliqueness(degrees), (1.0, 1.0, 1.0))
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(affine))
    return transform


def place_mode(points: Any) -> None:
    slicer.modules.markups.logic().SetActiveList(points)
    slicer.modules.markups.logic().StartPlaceMode(True)


def test_one_list_a_segment(node: Any, volume: Any, points: Any) -> None:
    assert clickListOf(node, "liver") is points is ensureClickList(node, "liver", volume)
    assert clickListOf(node, "spleen") is None
    assert ensureClickList(node, "spleen", volume) is not points
    assert points.GetName() == "liver clicks"


def test_clicks_come_back_as_they_were_set(points: Any, volume: Any) -> None:
    setClicks(points, volume, CLICKS)
    assert clicksOf(points, volume) == CLICKS
    first = points.GetNthControlPointID(0)
    setClicks(points, volume, CLICKS[:1])
    assert clicksOf(points, volume) == CLICKS[:1]
    assert points.GetNthControlPointID(0) == first, "what is right already stays"
    setClicks(points, volume, CLICKS[::-1])
    assert clicksOf(points, volume) == CLICKS[::-1]
    setClicks(points, volume, ())
    assert clicksOf(points, volume) == clicksOf(None, volume) == ()


def test_kinds_have_colors_and_labels(points: Any, volume: Any) -> None:
    setClicks(points, volume, CLICKS)
    assert [points.GetNthControlPointLabel(n) for n in range(2)] == ["+", "\N{MINUS SIGN}"]
    display = points.GetDisplayNode()
    assert display.GetSelectedColor() != display.GetColor()
    points.SetNthControlPointSelected(0, False)  # in the module Markups
    showKinds(points, inside=True)
    assert points.GetNthControlPointLabel(0) == "\N{MINUS SIGN}"
    assert not clicksOf(points, volume)[0].inside


def test_point_on_the_mouse_is_no_click_and_has_the_kind_of_the_next_one(points: Any, volume: Any) -> None:
    place_mode(points)
    view_mouse.move(HERE)
    showKinds(points, inside=False)
    assert points.GetNumberOfControlPoints() == 1
    assert clicksOf(points, volume) == ()
    view_mouse.click(HERE)
    assert clicksOf(points, volume) == (Click(HERE, inside=False),)
    view_mouse.move(THERE)
    assert takeBackLast(points), "of those that were placed"
    assert clicksOf(points, volume) == ()
    assert not takeBackLast(points)
    assert points.GetNumberOfControlPoints() == 1


def test_points_of_other_slices_are_faint_and_of_neither_kinds_color(points: Any) -> None:
    display = points.GetDisplayNode()
    assert display.GetSliceProjection()
    assert display.GetSliceProjectionOpacity() < display.GetOpacity() / 2
    assert not display.GetSliceProjectionUseFiducialColor(), (
        "Slicer takes that of outside points as soon as there is one"
    )
    assert display.GetSliceProjectionColor() not in (display.GetColor(), display.GetSelectedColor())
    addClick(points, HERE, inside=True)
    addClick(points, THERE, inside=False)
    assert [points.GetNthControlPointLabel(number) for number in range(2)] == ["+", "\N{MINUS SIGN}"]


def test_ctrl_and_a_click_place_nothing(points: Any, volume: Any) -> None:
    place_mode(points)
    assert not view_mouse.click(HERE, modifier=True)
    assert clicksOf(points, volume) == ()


@pytest.mark.parametrize("hardened", [False, True])
def test_clicks_follow_the_transform_of_the_volume(node: Any, volume: Any, hardened: bool) -> None:
    volume.SetAndObserveTransformNodeID(linear_transform(30).GetID())
    points = ensureClickList(node, "liver", volume)
    assert points.GetParentTransformNode() is volume.GetParentTransformNode()
    setClicks(points, volume, CLICKS)
    world = np.array([points.GetNthControlPointPositionWorld(n) for n in range(2)])
    matrix = slicer.util.arrayFromTransformMatrix(volume.GetParentTransformNode())
    expected = [(matrix @ [*click.ras_mm, 1.0])[:3] for click in CLICKS]
    np.testing.assert_allclose(world, expected, atol=1e-3)
    if hardened:
        points.HardenTransform()
        np.testing.assert_allclose([points.GetNthControlPointPosition(n) for n in range(2)], expected, atol=1e-3)
    found = clicksOf(points, volume)
    np.testing.assert_allclose([click.ras_mm for click in found], [HERE, THERE], atol=2e-3)
    assert [click.inside for click in found] == [True, False]


def test_points_under_a_transform_of_their_own(points: Any, volume: Any) -> None:
    transform = linear_transform(20)
    points.SetAndObserveTransformNodeID(transform.GetID())
    addClick(points, HERE, inside=True)
    assert clicksOf(points, volume) == (Click(HERE),)


def test_clicks_follow_a_transform_that_is_not_linear(node: Any, volume: Any) -> None:
    volume.SetAndObserveTransformNodeID(warp().GetID())
    points = ensureClickList(node, "liver", volume)
    setClicks(points, volume, CLICKS)
    np.testing.assert_allclose([click.ras_mm for click in clicksOf(points, volume)], [HERE, THERE], atol=0.05)


def test_clicks_are_saved_with_the_scene(points: Any, volume: Any, host: Any, tmp_path: Path, calls: Calls) -> None:
    setClicks(points, volume, CLICKS)
    host.saveScene(tmp_path / "scene.mrb")
    host.loadScene(tmp_path / "scene.mrb")
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    again = clickListOf(node, "liver")
    assert again is not None
    assert again is not points
    reference = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    assert clicksOf(again, reference) == CLICKS
    calls.watch.watchAll()
    assert calls.found == [("liver", 2)]


def test_every_change_is_told_once(points: Any, calls: Calls) -> None:
    calls.watch.watchAll()
    assert calls.found == [("liver", 0)]
    place_mode(points)
    view_mouse.move(HERE)
    view_mouse.move(THERE)
    assert calls.changed == []
    view_mouse.click(HERE)
    assert calls.changed == ["liver"]
    view_mouse.right_click()
    view_mouse.drag(points, 0, THERE)
    assert calls.changed == 2 * ["liver"]
    points.SetNthControlPointSelected(0, False)
    assert calls.changed == 3 * ["liver"]
    points.SetNthControlPointLabel(0, "mine")
    assert calls.changed == 3 * ["liver"]
    assert view_mouse.delete_under_mouse(points, 0)
    assert calls.changed == 4 * ["liver"]
    slicer.mrmlScene.RemoveNode(points)
    assert calls.changed == 5 * ["liver"]
    calls.watch.close()


def test_click_outside_is_told_as_one_change(points: Any, volume: Any, calls: Calls) -> None:
    calls.watch.watchAll()
    addClick(points, HERE, inside=False)
    assert calls.changed == ["liver"]
    assert clicksOf(points, volume) == (Click(HERE, inside=False),)


def test_points_are_hidden_with_their_segment_and_shown_again(node: Any, points: Any, calls: Calls) -> None:
    calls.watch.watchAll()
    display = node.GetDisplayNode()
    display.SetSegmentVisibility("spleen", False)
    assert points.GetDisplayVisibility()
    display.SetSegmentVisibility("liver", False)
    assert not points.GetDisplayVisibility()
    display.SetSegmentVisibility("liver", True)
    assert points.GetDisplayVisibility()
    display.SetVisibility(False)
    assert not points.GetDisplayVisibility()
    display.SetVisibility(True)
    points.SetDisplayVisibility(False)  # by the user, who wants to see the segment alone
    display.SetSegmentVisibility("spleen", True)
    assert not points.GetDisplayVisibility()


def test_points_go_with_their_segment(node: Any, points: Any, volume: Any, calls: Calls) -> None:
    other = ensureClickList(node, "spleen", volume)
    calls.watch.watchAll()
    number = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsDisplayNode")
    node.GetSegmentation().RemoveSegment("liver")
    assert points.GetScene() is None
    assert other.GetScene() is slicer.mrmlScene
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsDisplayNode") == number - 1
    removeSegmentation(node)
    assert other.GetScene() is None
    assert calls.changed == []


def test_scene_that_is_closed_takes_everything(points: Any, calls: Calls) -> None:
    addClick(points, HERE, inside=True)
    calls.watch.watchAll()
    slicer.mrmlScene.Clear(False)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode") is None
    calls.watch.close()
    volume_node(plain_affine())
    calls.watch.watchAll()
