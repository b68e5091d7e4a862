"""What the panel says about a run, in the language of the application."""

from __future__ import annotations

from DSMSegmentLib.application import tr as _
from DSMSegmentLib.finding import OutcomeStatus
from DSMSegmentLib.job import JobState, SegmentationJob
from DSMSegmentLib.job_progress import JobProgress


def stageText(progress: JobProgress) -> str:
    """Return what the run is doing."""
    texts: dict[str, str] = {
        "load": _("Starting the worker and loading the model..."),
        "encode": _("Reading the volume..."),
        "text": _("Reading the prompts..."),
        "decode": _("Segmenting..."),
        "write": _("Writing..."),
    }
    return texts.get(progress.stage, progress.stage)


def resultText(job: SegmentationJob) -> str:
    """Return what came of a run that has ended, and what the user should know about it."""
    if job.state is JobState.FAILED and job.error is not None:
        return job.error.one_line
    texts = {
        OutcomeStatus.WRITTEN: _("{name}: {volume:.1f} ml"),
        OutcomeStatus.NOT_FOUND: _("{name}: not found"),
        OutcomeStatus.SKIPPED: _("{name}: skipped, a segment of that name exists"),
    }
    lines = [
        texts[outcome.status].format(name=outcome.prompt.name, volume=outcome.volumeMl) for outcome in job.outcomes
    ]
    if job.state is JobState.CANCELLED:
        lines.insert(0, _("Cancelled."))
    lines += job.warnings
    lines += [warning for outcome in job.outcomes for warning in outcome.warnings]
    return "\n".join(lines)
