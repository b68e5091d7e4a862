"""Clicks on a tumor with several lesions: what is not clicked stays, what was rejected stays away."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slicer
import view_mouse
from clicked_masks import clicked_mask
from painting import paint
from panel_backends import MASKS, PanelBackend
from phantoms import SHAPE, mask_in, segment_of, tag_of

from dsm.core.click import Click
from dsm.core.segment_tags import ALGORITHM_TYPE_TAG
from dsm.inference.lesion_list import LabelledLesions
from DSMSegmentLib.scene.mrml import ijkToRAS

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
from clicking_user import ClickingUser  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver

FIRST, LAST = (slice(0, 2), slice(0, 2), slice(0, 2)), (slice(-2, None), slice(-2, None), slice(-1, None))
MISSED, NEXT_TO_IT = (SHAPE[0] - 2, 1, SHAPE[2] // 2), (SHAPE[0] - 2, 2, SHAPE[2] // 2)
REJECT = 5
ID = "DSM_liver_tumor"


def lesions(*boxes: tuple[slice, ...]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    for box in boxes:
        mask[box] = 1
    return mask


@pytest.fixture
def backend() -> PanelBackend:
    return PanelBackend({**MASKS, "liver tumor": lesions(FIRST, LAST)})


@pytest.fixture
def user(panel: PanelDriver, backend: PanelBackend) -> ClickingUser:
    backend.trained = ("liver", "liver tumor")
    return ClickingUser(panel, backend)


@pytest.fixture
def node(user: ClickingUser) -> Any:
    return user.panel.run("liver tumor")


def at(volume: Any, voxel: tuple[int, int, int]) -> tuple[float, float, float]:
    r, a, s = (ijkToRAS(volume) @ (*voxel, 1))[:3]
    return float(r), float(a), float(s)


def clicked(volume: Any, *voxels: tuple[int, int, int]) -> np.ndarray:
    found = clicked_mask(ijkToRAS(volume), SHAPE, [Click(at(volume, voxel)) for voxel in voxels])
    assert not found[FIRST].any()
    assert not found[LAST].any()
    return found


def assert_mask(node: Any, volume: Any, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(mask_in(node, ID, volume), expected)


def test_a_missed_lesion_is_added_and_its_clicks_change_it_alone(user: ClickingUser, volume: Any, node: Any) -> None:
    user.press("liver tumor")
    user.click(at(volume, MISSED))
    assert_mask(node, volume, lesions(FIRST, LAST) | clicked(volume, MISSED))
    assert tag_of(segment_of(node, ID), ALGORITHM_TYPE_TAG) == "SEMIAUTOMATIC"
    user.click(at(volume, NEXT_TO_IT))
    assert_mask(node, volume, lesions(FIRST, LAST) | clicked(volume, MISSED, NEXT_TO_IT))
    mouse.click(user.ui.takeBackClickButton)
    user.settle()
    assert_mask(node, volume, lesions(FIRST, LAST) | clicked(volume, MISSED))
    mouse.click(user.ui.takeBackClickButton)
    user.settle()
    assert_mask(node, volume, lesions(FIRST, LAST))


def test_lesions_are_labelled_once_and_the_window_does_not_wait_for_it(
    user: ClickingUser, volume: Any, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[LabelledLesions, threading.Thread]] = []
    unclicked = LabelledLesions.unclicked

    def record(lesions: LabelledLesions, *args: Any) -> Any:
        asked.append((lesions, threading.current_thread()))
        return unclicked(lesions, *args)

    monkeypatch.setattr(LabelledLesions, "unclicked", record)
    user.press("liver tumor")
    user.click(at(volume, MISSED))
    user.click(at(volume, NEXT_TO_IT))
    (one, _), (other, _) = asked
    assert one is other
    assert threading.main_thread() not in [thread for _, thread in asked]


def test_volume_counts_all_lesions(user: ClickingUser, volume: Any, node: Any) -> None:
    (before,) = user.panel.cells("ml")
    user.press("liver tumor")
    user.click(at(volume, MISSED))
    share = np.count_nonzero(mask_in(node, ID, volume)) / np.count_nonzero(lesions(FIRST, LAST))
    assert float(user.panel.cells("ml")[0]) == pytest.approx(share * float(before), rel=0.05)


def test_a_clicked_lesion_is_outlined_anew(user: ClickingUser, volume: Any, node: Any) -> None:
    user.press("liver tumor")
    user.click(at(volume, (0, 0, 0)))
    expected = clicked_mask(ijkToRAS(volume), SHAPE, [Click(at(volume, (0, 0, 0)))])
    assert_mask(node, volume, expected | lesions(LAST))


def test_what_was_rejected_stays_away(user: ClickingUser, volume: Any, node: Any) -> None:
    user.ui.lesionsCollapsibleButton.collapsed = False
    user.panel.process_events()
    mouse.click(user.ui.lesionsTable.cellWidget(0, REJECT))
    (left,) = [box for box in (FIRST, LAST) if mask_in(node, ID, volume)[box].any()]
    user.press("liver tumor")
    user.click(at(volume, MISSED))
    assert_mask(node, volume, lesions(left) | clicked(volume, MISSED))
    user.click(at(volume, NEXT_TO_IT))
    assert_mask(node, volume, lesions(left) | clicked(volume, MISSED, NEXT_TO_IT))


def test_what_was_painted_stays(user: ClickingUser, volume: Any, node: Any) -> None:
    slicer.util.selectModule("SegmentEditor")
    user.press("liver tumor")
    user.click(at(volume, MISSED))
    corrected = paint(node, ID, volume)
    user.click(at(volume, NEXT_TO_IT))
    assert_mask(node, volume, corrected | clicked(volume, MISSED, NEXT_TO_IT))


def test_undo_brings_back_what_was_there(user: ClickingUser, volume: Any, node: Any) -> None:
    user.press("liver tumor")
    user.click(at(volume, MISSED))
    mouse.click(user.ui.undoButton)
    user.settle()
    assert_mask(node, volume, lesions(FIRST, LAST))
    user.click(at(volume, NEXT_TO_IT))
    assert_mask(node, volume, lesions(FIRST, LAST) | clicked(volume, NEXT_TO_IT))


def test_lesions_stay_in_a_scene_that_was_opened(user: ClickingUser, volume: Any, host: Any, tmp_path: Path) -> None:
    panel = user.panel
    panel.run("liver tumor")
    user.press("liver tumor")
    user.click(at(volume, MISSED))
    view_mouse.right_click()
    node = panel.reopen(host, tmp_path / "scene.mrb")
    volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    user.press("liver tumor")
    user.click(at(volume, NEXT_TO_IT))
    assert_mask(node, volume, lesions(FIRST, LAST) | clicked(volume, MISSED, NEXT_TO_IT))
