"""The page's list of lesions measures a mask once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from phantoms import SHAPE, plain_affine, segment_ids, volume_node

pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
from DSMSegmentLib import Runs
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.segment_display import setOwnColor, showDistinctly
from DSMSegmentWeb import lesion_tool, segment_actions
from DSMSegmentWeb.edits import journaled

TUMOR = np.zeros(SHAPE, np.uint8)
TUMOR[1:4, 1:4, 1:3] = TUMOR[6, 5:7, 4] = 1
LIVER = np.zeros(SHAPE, np.uint8)
LIVER[4, 4, 4] = 1


def test_masks_are_measured_when_they_change_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = volume_node(plain_affine())
    runs = Runs(FakeBackend({"liver": LIVER, "liver tumor": TUMOR}))
    node = runs.segment(volume, "liver; liver tumor", wait=True).segmentationNode
    liver, tumor = segment_ids(node)
    state = SimpleNamespace(selected=tumor, is_ct=True, lesions=[], shown_lesion="", lesion_note="")
    tool = lesion_tool.LesionTool(state, SimpleNamespace(segmentation_node=node, volume_node=volume))
    measured: list[str] = []
    real = lesion_tool.lesionsOf

    def counting(node: Any, segment_id: str, **options: Any) -> Any:
        measured.append(segment_id)
        return real(node, segment_id, **options)

    monkeypatch.setattr(lesion_tool, "lesionsOf", counting)
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
