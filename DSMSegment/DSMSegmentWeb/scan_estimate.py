"""Estimated time of the first run on a scan."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from trame_server.state import State

from dsm.core.volume import Volume
from dsm.errors import OutputError
from dsm.io.atomic import atomic_output
from DSMSegmentLib import JobState, Runs, SegmentationJob
from DSMSegmentLib.jobs.run_estimate import RunEstimates, speedOf
from DSMSegmentLib.panel.summary import estimateText

_LOG = logging.getLogger(__name__)


class ScanEstimate:
    """Estimates learned from the runs of all scenes of a server.

    Args:
        state: Of the page; `estimate` is the sentence, empty where nothing is known.
        runs: Runs of the scene, with the backend of the next one.
        file: Measured speeds of all scenes; written after the first run.
    """

    def __init__(self, state: State, runs: Runs, file: Path) -> None:
        self._state = state
        self._runs = runs
        self._file = file

    def show(self, volume: Volume) -> None:
        """Show the estimate of a newly opened scan."""
        engine = self._runs.backend.engine
        estimate = self._estimates().of(volume, engine) if engine else None
        self._state.estimate = estimateText(estimate) if estimate else ""

    def learn(self, job: SegmentationJob) -> None:
        """Update the estimates from a finished run."""
        engine = self._runs.backend.engine
        if engine and job.encodeSeconds is not None:
            self._estimates().learn(engine, speedOf(job.volume, engine, job.encodeSeconds))
        if job.encodeSeconds is not None or job.state is JobState.FINISHED:
            self._state.estimate = ""

    def _estimates(self) -> RunEstimates:
        """Read the estimates from disk: other scenes write them, too."""
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        return RunEstimates(known, self._keep)

    def _keep(self, speeds: dict[str, float]) -> None:
        try:
            with atomic_output(self._file) as part:
                part.write_text(json.dumps(speeds), encoding="utf-8")
        except OutputError as error:
            _LOG.warning("The encoding speed was not stored: %s", error)
