"""The page's list of lesions measures a mask once, and accepted lesions go from the page to the panel and back."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
from phantoms import SHAPE, plain_affine, segment_ids, tag_of, volume_node

pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
from dsm.io.seg_nrrd_reader import read_segments_of
from DSMSegmentLib import Runs, volumeFromNode
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene import listed_lesions
from DSMSegmentLib.scene.exporting import recordsOf, writeSegNrrd
from DSMSegmentLib.scene.lesion_review import acceptedLesions, acceptLesions
from DSMSegmentLib.scene.lesions import lesionsOf
from DSMSegmentLib.scene.mrml import ijkToRAS
from DSMSegmentLib.scene.placement import createSegmentation
from DSMSegmentLib.scene.segment_display import setOwnColor, showDistinctly
from DSMSegmentWeb import lesion_tool, segment_actions
from DSMSegmentWeb.download_all import Contents
from DSMSegmentWeb.edits import journaled
from DSMSegmentWeb.exports import export
from DSMSegmentWeb.segment_file import add_segments

TUMOR = np.zeros(SHAPE, np.uint8)
TUMOR[1:4, 1:4, 1:3] = TUMOR[6, 5:7, 4] = 1
LIVER = np.zeros(SHAPE, np.uint8)
LIVER[4, 4, 4] = 1


class Page:
    """A scan with a liver and a tumor of two lesions, of which the list is shown."""

    def __init__(self) -> None:
        self.volume = volume_node(plain_affine())
        runs = Runs(FakeBackend({"liver": LIVER, "liver tumor": TUMOR}))
        self.node = runs.segment(self.volume, "liver; liver tumor", wait=True).segmentationNode
        self.show(self.node, segment_ids(self.node)[1])

    def show(self, node: Any, tumor: str) -> None:
        self.state = SimpleNamespace(selected=tumor, is_ct=True, lesions=[], shown_lesion="", lesion_note="")
        self.tool = lesion_tool.LesionTool(self.state, SimpleNamespace(segmentation_node=node, volume_node=self.volume))
        self.tool.show()

    def accept(self, number: int) -> Any:
        take_back = self.tool.accept(self.state.lesions[number]["id"])
        self.tool.show()
        return take_back

    def open(self, path: Path) -> Any:
        """Open a file as the page does, in an empty segmentation of the scan; returns that."""
        node = createSegmentation(self.volume)
        add_segments(node, self.volume, read_segments_of(path, SHAPE, ijkToRAS(self.volume)))
        self.show(node, segment_ids(node)[1])
        return node

    @property
    def accepted(self) -> list[bool]:
        return [row["accepted"] for row in self.state.lesions]


def panel_accepts(path: Path) -> list[bool]:
    """Open a file as Slicer does; returns which lesions the panel shows as accepted."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    tumor = segment_ids(node)[1]
    lesions = lesionsOf(node, tumor)
    accepted = acceptedLesions(node, tumor, lesions)
    return [lesion in accepted for lesion in lesions]


def downloaded(page: Page, kind: str, folder: Path) -> Path:
    """The `.seg.nrrd` of the page, or of the archive of the page."""
    if kind == "seg.nrrd":
        return export(kind, page.volume, page.node, folder)
    view = SimpleNamespace(image=np.zeros((8, 8, 3), np.uint8), name="axial")
    contents = Contents("scan", volumeFromNode(page.volume), recordsOf(page.node), {1}, {}, [view], [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("DSMSegmentWeb.download_all.write_picture", lambda path, *_: path.write_bytes(b"picture"))
        archive, _ = contents.write(folder)
    with zipfile.ZipFile(archive) as packed:
        table = csv.DictReader(io.StringIO(packed.read("lesions.csv").decode("utf-8-sig"), newline=""))
        assert [row["accepted"] == "yes" for row in table] == page.accepted
        return Path(packed.extract("scan.seg.nrrd", folder))


@pytest.mark.parametrize("kind", ["seg.nrrd", "zip"])
def test_lesion_accepted_on_the_page_is_accepted_in_the_panel_and_the_other_way_round(
    kind: str, tmp_path: Path
) -> None:
    page = Page()
    page.accept(1)
    assert page.accepted == [False, True]
    path = downloaded(page, kind, tmp_path)
    assert panel_accepts(path) == [False, True]
    node = page.open(path)
    assert page.accepted == [False, True]

    tumor = page.state.selected
    lesions = lesionsOf(node, tumor)
    acceptLesions(node, tumor, lesions, [lesions[0]])
    written = tmp_path / "panel.seg.nrrd"
    assert writeSegNrrd(node, written)
    page.open(written)
    assert page.accepted == [True, False]
    page.accept(1)
    page.accept(0)
    assert page.accepted == [False, True]


def test_accepting_and_rejecting_can_be_taken_back_with_what_was_accepted() -> None:
    page = Page()
    segment = page.node.GetSegmentation().GetSegment(page.state.selected)
    first = page.accept(0)
    second = page.accept(1)
    assert tag_of(segment, "Segmentation.Status") == "completed"
    second()
    page.tool.show()
    assert page.accepted == [True, False]
    assert tag_of(segment, "Segmentation.Status") != "completed"
    take_back = page.tool.reject(page.state.lesions[1]["id"])
    page.tool.show()
    assert page.accepted == [True]
    assert tag_of(segment, "Segmentation.Status") == "completed", "all that are left are accepted"
    take_back()
    page.tool.show()
    assert page.accepted == [True, False]
    first()
    page.tool.show()
    assert page.accepted == [False, False]


def test_lesions_that_are_not_listed_are_not_reviewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed_lesions, "MOST_LESIONS", 1)
    page = Page()
    segment = page.node.GetSegmentation().GetSegment(page.state.selected)
    page.accept(0)
    assert page.accepted == [True]
    assert tag_of(segment, "Segmentation.Status") != "completed"
    page.tool.reject(page.state.lesions[0]["id"])
    page.tool.show()
    assert page.accepted == [False], "the next lesion is listed"
    page.accept(0)
    assert tag_of(segment, "Segmentation.Status") == "completed"


def test_opened_segments_have_names_of_their_own_and_can_be_taken_back(tmp_path: Path) -> None:
    page = Page()
    segment_actions.recolor(page.node, page.state.selected, (1, 2, 3))
    path = export("seg.nrrd", page.volume, page.node, tmp_path)
    take_back = add_segments(page.node, page.volume, read_segments_of(path, SHAPE, ijkToRAS(page.volume)))
    records = recordsOf(page.node)
    assert [one.name for one in records] == ["liver", "liver tumor", "liver 2", "liver tumor 2"]
    for one, other in zip(records[:2], records[2:], strict=True):
        assert (one.color, one.terminology_tag, dict(one.tags)) == (
            other.color,
            other.terminology_tag,
            dict(other.tags),
        )
        np.testing.assert_array_equal(one.mask.paste_into(SHAPE), other.mask.paste_into(SHAPE))
    assert take_back()
    assert [one.name for one in recordsOf(page.node)] == ["liver", "liver tumor"]


def test_masks_are_measured_when_they_change_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = volume_node(plain_affine())
    runs = Runs(FakeBackend({"liver": LIVER, "liver tumor": TUMOR}))
    node = runs.segment(volume, "liver; liver tumor", wait=True).segmentationNode
    liver, tumor = segment_ids(node)
    state = SimpleNamespace(selected=tumor, is_ct=True, lesions=[], shown_lesion="", lesion_note="")
    tool = lesion_tool.LesionTool(state, SimpleNamespace(segmentation_node=node, volume_node=volume))
    measured: list[str] = []
    real = listed_lesions.lesionMeasurement

    def counting(node: Any, segment_id: str, **options: Any) -> Any:
        measured.append(segment_id)
        return real(node, segment_id, **options)

    monkeypatch.setattr(listed_lesions, "lesionMeasurement", counting)
    tool.show()
    assert (len(state.lesions), measured) == (2, [tumor])
    display = node.GetDisplayNode()
    for change in (
        lambda: display.SetSegmentVisibility(liver, False),
        lambda: display.SetSegmentVisibility(tumor, False),
        lambda: setOwnColor(node, tumor, (1, 2, 3)),
        lambda: showDistinctly(node),
        lambda: segment_actions.rename(node, tumor, "mine"),
        lambda: tool.accept(state.lesions[0]["id"]),
        lambda: None,
    ):
        change()
        tool.show()
    assert (len(state.lesions), measured) == (2, [tumor])
    assert [row["accepted"] for row in state.lesions] == [True, False]

    take_back = journaled(node, tumor)
    tool.reject(state.lesions[0]["id"])
    tool.show()
    assert (len(state.lesions), measured) == (1, [tumor] * 2)
    take_back()
    tool.show()
    assert (len(state.lesions), measured) == (2, [tumor] * 3)
    state.selected = liver
    tool.show()
    assert (state.lesions, measured) == ([], [tumor] * 3)
    state.selected = tumor
    tool.show()
    assert (len(state.lesions), measured) == (2, [tumor] * 4)
