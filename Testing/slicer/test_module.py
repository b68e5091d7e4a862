"""The module file: Slicer's four classes, without Slicer's application running."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
from phantoms import mask_of, plain_affine, prompt, segment_ids, volume_node

import DSMSegment as module
from dsm.core.volume import Volume
from dsm.errors import InputError, WorkerError
from DSMSegmentLib import JobState, OutcomeStatus, SegmentOutcome, WorkerBackend
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.panel.summary import resultText, stageText
from DSMSegmentLib.scene.undo import UndoHistory

ROOT = Path(__file__).parents[2]


class DyingBackend(FakeBackend):
    """A fake whose worker is gone."""

    def segment(self, volume: Volume, *_: Any, **__: Any) -> None:
        raise WorkerError("The worker process ended.", code="worker.died", hint="Start it again.", details="log")


@pytest.fixture
def volume() -> Any:
    return volume_node(plain_affine())


@pytest.mark.parametrize("suffix", ["", "Widget", "Logic", "Test"])
def test_classes_have_the_names_that_slicer_looks_for(suffix: str) -> None:
    assert isinstance(getattr(module, f"DSMSegment{suffix}"), type)


def test_import_brings_no_torch_and_no_qt() -> None:
    code = "import sys, DSMSegment; print(sorted({'torch', 'qt', 'PySide6', 'SimpleITK', 'scipy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "DSMSegment", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


class TestSelfTest:
    """Slicer's generic test of the module."""

    @staticmethod
    def run() -> unittest.TestResult:
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(module.DSMSegmentTest)
        result = unittest.TestResult()
        suite.run(result)
        assert result.testsRun == 3
        return result

    def broken(self) -> list[str]:
        """Return the names of the tests that do not pass."""
        result = self.run()
        return [test.id().rpartition(".")[2] for test, _ in result.failures + result.errors]

    @pytest.fixture
    def opened(self) -> Iterator[Callable[[], None]]:
        """Opens the panel as the application does: it logs what fails there, and goes on."""
        panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
        panels: list[Any] = []
        yield lambda: panels.append(panel_host.Panel(module, only_log=True))
        for panel in panels:
            with contextlib.suppress(AttributeError):  # what a broken setup() has not made
                panel.close()

    def test_passes(self, opened: Callable[[], None]) -> None:
        opened()
        result = self.run()
        assert result.wasSuccessful(), result.failures + result.errors

    @pytest.mark.usefixtures("expect_errors")
    def test_fails_where_setup_raises(self, opened: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: Any, **__: Any) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(module, "PromptEdit", broken)
        opened()
        assert self.broken() == ["test_panelIsReadyForWhatIsTyped"]

    @pytest.mark.usefixtures("expect_errors")
    def test_fails_where_slicer_connects_no_slider(
        self, opened: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from DSMSegmentLib.application import parameterNodeWrapper

        class Unbounded:
            threshold = 0.5

        Unbounded.__annotations__ = {**module.DSMSegmentParameterNode.__annotations__, "threshold": float}
        Unbounded.__module__ = module.__name__  # where annotations are looked up
        monkeypatch.setattr(module, "DSMSegmentParameterNode", parameterNodeWrapper(Unbounded))
        opened()
        assert self.broken() == ["test_panelIsReadyForWhatIsTyped"]

    def test_fails_where_typing_goes_wrong(self, opened: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
        load = slicer.util.loadUI

        def bound(path: str) -> Any:
            form = load(path)
            field = slicer.util.childWidgetVariables(form).promptsTextEdit
            field.setProperty("SlicerParameterName", "prompts")
            return form

        monkeypatch.setattr(slicer.util, "loadUI", bound)
        opened()
        assert self.broken() == ["test_panelIsReadyForWhatIsTyped"]


class TestLogic:
    def test_segments_and_takes_back(self, volume: Any) -> None:
        logic = module.DSMSegmentLogic(FakeBackend({"liver": mask_of()}))
        job = logic.segment(volume, "liver\nspleen", wait=True)
        assert job.state is JobState.FINISHED
        assert segment_ids(job.segmentationNode) == ["DSM_liver"]
        assert logic.canUndo(job.segmentationNode)
        assert logic.undoLast(job.segmentationNode)
        assert not logic.undoLast(job.segmentationNode)

    def test_runs_one_job_at_a_time(self, volume: Any) -> None:
        logic = module.DSMSegmentLogic(FakeBackend({"liver": mask_of()}))
        logic.segment(volume, "liver")
        with pytest.raises(InputError, match="going on"):
            logic.segment(volume, "spleen")
        while not logic.poll():
            pass
        assert not logic.isRunning

    def test_failed_run_raises_in_scripts(self, volume: Any) -> None:
        with pytest.raises(WorkerError, match="ended"):
            module.DSMSegmentLogic(DyingBackend({})).segment(volume, "liver", wait=True)

    def test_bad_prompt_leaves_the_logic_ready(self, volume: Any) -> None:
        logic = module.DSMSegmentLogic(FakeBackend({"liver": mask_of()}))
        with pytest.raises(InputError):
            logic.segment(volume, "")
        assert logic.segment(volume, "liver", wait=True).state is JobState.FINISHED

    def test_closing_scene_stops_the_run_and_forgets_undo(self, volume: Any) -> None:
        logic = module.DSMSegmentLogic(FakeBackend({"liver": mask_of()}))
        node = logic.segment(volume, "liver", wait=True).segmentationNode
        job = logic.segment(volume, "liver", node)
        logic.sceneClosing()
        slicer.mrmlScene.Clear(False)
        while not logic.poll():
            pass
        assert job.state is JobState.CANCELLED
        assert not logic.canUndo(node)

    def test_run_whose_scene_was_closed_is_no_undo_of_the_next_scene(self, volume: Any) -> None:
        logic = module.DSMSegmentLogic(FakeBackend({"liver": mask_of()}))
        job = logic.segment(volume, "liver", wait=True)
        closed_id = job.segmentationNode.GetID()
        slicer.mrmlScene.Clear(False)
        history = UndoHistory()
        history.add(job.segmentationNode, job.journal)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        assert node.GetID() == closed_id
        assert not history.canUndo(node)

    def test_default_backend_is_the_worker_and_starts_nothing(self) -> None:
        logic = module.DSMSegmentLogic()
        assert isinstance(logic._backend, WorkerBackend)
        assert logic._backend.workerPid is None
        logic.close()


class TestSummary:
    def test_says_what_was_found_and_what_to_know(self, volume: Any) -> None:
        job = module.DSMSegmentLogic(FakeBackend({"liver": mask_of()})).segment(volume, "liver; glorp", wait=True)
        lines = resultText(job).splitlines()
        assert lines[0].startswith("Finished in ")
        assert lines[0].endswith(" s: 1 found; not found: glorp.")
        assert "not in the vocabulary" in lines[1]
        assert stageText(job.progress) == "Segmenting..."

    def test_says_whose_a_warning_is(self) -> None:
        warnings = {"liver": "It is cut.", "spleen": "It is cut.", "aorta": "The aorta is odd.", "stomach": ""}
        outcomes = [
            SegmentOutcome(prompt(name), OutcomeStatus.WRITTEN, warnings=tuple(filter(None, [said])))
            for name, said in warnings.items()
        ]
        state: dict[str, Any] = {"state": JobState.FINISHED, "seconds": 1.0, "warnings": [], "missing": []}
        job: Any = SimpleNamespace(**state, outcomes=outcomes, allOutcomes=outcomes)
        assert resultText(job).splitlines()[1:] == ["liver, spleen: It is cut.", "The aorta is odd."]
        job.outcomes = job.allOutcomes = outcomes[:1] * 2
        assert resultText(job).splitlines()[1:] == ["It is cut."], "of one name, it is not repeated"

    def test_says_why_a_run_failed_and_what_to_do(self, volume: Any) -> None:
        logic = module.DSMSegmentLogic(DyingBackend({}))
        job = logic.segment(volume, "liver")
        job.wait()
        assert resultText(job) == "The worker process ended. Start it again. 0 found; not segmented: liver."
