"""Filters of the page change one segment, within the scan, and lose nothing that was done meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from phantoms import SHAPE, mask_in, plain_affine, segment_ids, tag_of, volume_node

pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
from trame_slicer.segmentation import SegmentationEffectErase, SegmentationEffectPaint, SegmentationEffectScissors

from dsm.core.boxes import CroppedArray
from dsm.errors import InputError
from DSMSegmentLib import Runs
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.mrml import ijkToRAS, orientedImageFromCrop, setSegmentMask
from DSMSegmentLib.scene.segment_display import showDistinctly, shownColor
from DSMSegmentWeb import edits as edits_file
from DSMSegmentWeb import segment_actions
from DSMSegmentWeb.edits import MOST_MM, Edits

LIVER, SPLEEN = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
LIVER[0:3, 2:4, 2:4] = 1
SPLEEN[3:5, 2:4, 2:4] = 1
ALL = np.ones(SHAPE, np.uint8)


class Editor:
    """The part of trame-slicer's editor that strokes need."""

    def __init__(self, node: Any) -> None:
        self.active_segmentation_node = node
        self.active_segment_id = ""
        self.editor_node = SimpleNamespace(SetSourceVolumeIntensityMask=lambda _: None)

    def set_active_segment_id(self, segment_id: str) -> None:
        self.active_segment_id = segment_id

    def set_active_effect_type(self, kind: type) -> Any:
        self.effect = kind()
        self.effect.set_scene(self.active_segmentation_node.GetScene())
        return self.effect


class Page:
    """A scan with two segments, and the edits of them.

    Attributes:
        steps: What takes each edit back.
    """

    def __init__(self) -> None:
        self.volume = volume_node(plain_affine())
        runs = Runs(FakeBackend({"liver": LIVER, "spleen": SPLEEN}))
        self.node = runs.segment(self.volume, "liver; spleen", wait=True).segmentationNode
        self.liver, self.spleen = segment_ids(self.node)
        self.steps: list[Callable[[], bool]] = []
        self._editor = Editor(self.node)
        self._edits = Edits(self._editor, self.steps.append)

    def apply(self, name: str, mm: float = 0.0) -> None:
        extent = self.volume.GetImageData().GetExtent()
        asyncio.run(self._edits.apply(name, mm, self.node, self.liver, extent))

    def stroke(self, tool: str) -> None:
        self._edits.use(tool, self.liver, 10.0)
        effect = self._editor.effect
        draw = effect.apply_points_display_coordinates if tool == "cut" else effect.paint_glyph_at_world_coordinates
        draw(None, None)

    def set_mask(self, segment_id: str, mask: np.ndarray) -> None:
        setSegmentMask(
            self.node, segment_id, orientedImageFromCrop(CroppedArray.from_mask(mask), ijkToRAS(self.volume))
        )

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        liver, spleen = (mask_in(self.node, one, self.volume) for one in (self.liver, self.spleen))
        return liver, spleen


def test_growing_ends_with_the_scan_and_leaves_other_segments() -> None:
    page = Page()
    page.apply("grow", MOST_MM)
    liver, spleen = page.masks()
    np.testing.assert_array_equal(liver, ALL)
    np.testing.assert_array_equal(spleen, SPLEEN)
    segment = page.node.GetSegmentation().GetSegment(page.liver)
    assert tag_of(segment, "DICOM.SegmentAlgorithmType") == "SEMIAUTOMATIC"
    (take_back,) = page.steps
    assert take_back()
    np.testing.assert_array_equal(page.masks()[0], LIVER)


@pytest.mark.parametrize(
    ("name", "mm", "message"),
    [
        ("grow", 1e-3, "choose a longer one"),
        ("shrink", MOST_MM, "Nothing of the segment would be left"),
        ("grow", 0.0, "at most 50 mm"),
        ("grow", -3.0, "at most 50 mm"),
        ("grow", float("nan"), "at most 50 mm"),
        ("shrink", float("inf"), "at most 50 mm"),
        ("fill", 0.0, "No slices were left out"),
        ("xyzzy", 1.0, "nothing to correct"),
    ],
)
def test_what_cannot_be_done_is_explained_and_changes_nothing(name: str, mm: float, message: str) -> None:
    page = Page()
    with pytest.raises(InputError) as caught:
        page.apply(name, mm)
    assert message in caught.value.one_line
    np.testing.assert_array_equal(page.masks()[0], LIVER)
    assert not page.steps


def test_what_was_painted_meanwhile_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page()
    real = edits_file.clipped

    def paint_and_clip(*arguments: Any) -> Any:
        page.set_mask(page.liver, ALL)
        return real(*arguments)

    monkeypatch.setattr(edits_file, "clipped", paint_and_clip)
    with pytest.raises(InputError, match="changed meanwhile"):
        page.apply("grow", 5.0)
    np.testing.assert_array_equal(page.masks()[0], ALL)
    assert not page.steps


@pytest.mark.parametrize(
    ("tool", "effect", "method"),
    [
        ("paint", SegmentationEffectPaint, "paint_glyph_at_world_coordinates"),
        ("erase", SegmentationEffectErase, "paint_glyph_at_world_coordinates"),
        ("cut", SegmentationEffectScissors, "apply_points_display_coordinates"),
    ],
)
def test_stroke_taken_back_gives_its_segment_back_and_leaves_the_others(
    tool: str, effect: type, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page()
    monkeypatch.setattr(effect, method, lambda *_: page.set_mask(page.liver, ALL))
    page.stroke(tool)
    np.testing.assert_array_equal(page.masks()[0], ALL)
    liver, spleen = (page.node.GetSegmentation().GetSegment(one) for one in (page.liver, page.spleen))
    assert tag_of(liver, "DICOM.SegmentAlgorithmType") == "SEMIAUTOMATIC"
    page.set_mask(page.spleen, ALL)
    segment_actions.recolor(page.node, page.spleen, (1, 2, 3))
    segment_actions.rename(page.node, page.spleen, "mine")
    segment_actions.toggle_reviewed(page.node, page.spleen)
    (take_back,) = page.steps
    assert take_back()
    np.testing.assert_array_equal(page.masks()[0], LIVER)
    assert tag_of(liver, "DICOM.SegmentAlgorithmType") == "AUTOMATIC"
    np.testing.assert_array_equal(page.masks()[1], ALL)
    assert (spleen.GetName(), shownColor(page.node, page.spleen)) == ("mine", (1, 2, 3))
    assert tag_of(spleen, "Segmentation.Status") == "completed"


def test_color_taken_back_is_the_one_that_was_shown() -> None:
    page = Page()
    showDistinctly(page.node)
    page.apply("grow", 5.0)
    grown, shown = page.masks()[0], shownColor(page.node, page.liver)
    segment = page.node.GetSegmentation().GetSegment(page.liver)
    own = segment.GetColor()
    take_back = segment_actions.recolor(page.node, page.liver, (1, 2, 3))
    assert shownColor(page.node, page.liver) == (1, 2, 3)
    assert take_back()
    assert (shownColor(page.node, page.liver), segment.GetColor()) == (shown, own)
    np.testing.assert_array_equal(page.masks()[0], grown)
