"""A run at one item of a sequence changes that one only, whatever the browser shows when its results arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from phantoms import browser_of_frames, mask_in, mask_of, plain_affine, segment_ids, volume_node

from DSMSegmentLib import JobOptions, JobState, Runs
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.panel.summary import finishedText
from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.policy import ExistingPolicy

LIVER, OTHER = mask_of(seed=1), mask_of(seed=2)
FIRST, LAST = 0, 2
REPLACE = JobOptions(existing=ExistingPolicy.REPLACE)


@pytest.fixture
def volume() -> Any:
    return volume_node(plain_affine())


@pytest.fixture
def browser(volume: Any) -> Any:
    return browser_of_frames(volume, (-1000, 0, 100))


@pytest.fixture
def runs() -> Runs:
    return Runs(FakeBackend({"liver": LIVER}))


@pytest.fixture
def node(runs: Runs, volume: Any, browser: Any) -> Any:
    """A segmentation that has a liver at each sequence item; the first one is shown, and later runs find `OTHER`."""
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    runs.use(FakeBackend({"liver": OTHER, "spleen": OTHER}))
    browser.SetSelectedItemNumber(FIRST)
    return node


def test_result_that_arrives_at_another_sequence_item_is_not_written_there(
    runs: Runs, volume: Any, browser: Any, node: Any
) -> None:
    job = runs.segment(volume, "spleen; liver", node, REPLACE, onResult=lambda _: browser.SetSelectedItemNumber(LAST))
    assert job.wait() is JobState.FAILED
    assert browser.GetSelectedItemNumber() == LAST
    assert segment_ids(node) == ["DSM_liver"]
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), LIVER)
    browser.SetSelectedItemNumber(FIRST)
    assert segment_ids(node) == ["DSM_liver", "DSM_spleen"], "what was finished stays"
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), LIVER)


def test_step_before_the_first_result_is_said_and_changes_nothing(
    runs: Runs, volume: Any, browser: Any, node: Any
) -> None:
    job = runs.segment(volume, "liver", node, REPLACE)
    browser.SetSelectedItemNumber(LAST)
    assert job.wait() is JobState.FAILED
    assert job.error is not None
    assert job.error.code == "output.time_point"
    assert finishedText(job) == (
        f"{node.GetName()} shows another sequence item than at the start of the run. Show that one again: finished"
        " segments are there. Then run the other prompts. 0 found; not segmented: liver."
    )
    for item in range(browser.GetNumberOfItems()):
        browser.SetSelectedItemNumber(item)
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), LIVER)


def test_step_away_and_back_between_two_results_does_no_harm(runs: Runs, volume: Any, browser: Any, node: Any) -> None:
    def look_about(_: Any) -> None:
        browser.SetSelectedItemNumber(LAST)
        browser.SetSelectedItemNumber(FIRST)

    job = runs.segment(volume, "spleen; liver", node, REPLACE, onResult=look_about)
    assert job.wait() is JobState.FINISHED
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), OTHER)


def test_undo_from_another_sequence_item_forgets_the_maps_of_the_run_and_no_others(
    runs: Runs, volume: Any, browser: Any, node: Any
) -> None:
    for item in (LAST, FIRST):
        browser.SetSelectedItemNumber(item)
        runs.segment(volume, "liver", node, REPLACE, interactive=True).wait()
    browser.SetSelectedItemNumber(LAST)
    assert runs.undoLast(node)
    assert browser.GetSelectedItemNumber() == FIRST
    assert not runs.canSetThreshold(node, "DSM_liver")
    browser.SetSelectedItemNumber(LAST)
    assert runs.canSetThreshold(node, "DSM_liver")


def test_run_that_changed_nothing_leaves_the_browser_where_it_is(
    runs: Runs, volume: Any, browser: Any, node: Any
) -> None:
    journal = RunJournal(node)
    browser.SetSelectedItemNumber(LAST)
    journal.revert()
    assert browser.GetSelectedItemNumber() == LAST
