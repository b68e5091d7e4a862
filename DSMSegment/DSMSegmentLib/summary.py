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
        "upload": _("Sending the volume to the server..."),
        "waiting": _("Waiting for the server..."),
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


def progressText(progress: JobProgress) -> str:
    """Return one line for a run that is going on: the stage, how far it is, and how long it still takes."""
    text = f"{progress.note}: {stageText(progress)}" if progress.note else stageText(progress)
    if progress.stage == "decode" and progress.total > 1:
        text = _("Segmenting {done} of {total}...").format(
            done=min(progress.done + 1, progress.total), total=progress.total
        )
    if progress.etaS is not None and progress.etaS >= 1:
        text += " " + _("about {seconds:.0f} s left").format(seconds=progress.etaS)
    return text


def finishedText(job: SegmentationJob) -> str:
    """Return one line for a run that has ended."""
    found = sum(outcome.status is OutcomeStatus.WRITTEN for outcome in job.outcomes)
    missing = [outcome.prompt.name for outcome in job.outcomes if outcome.status is OutcomeStatus.NOT_FOUND]
    parts = [_("{count} found").format(count=found)]
    if missing:
        parts.append(_("not found: {names}").format(names=", ".join(missing)))
    if job.missing:
        parts.append(_("not segmented: {names}").format(names=", ".join(prompt.name for prompt in job.missing)))
    counts = "; ".join(parts) + "."
    if job.state is JobState.FAILED and job.error is not None:
        return f"{job.error.one_line} {counts}"
    if job.state is JobState.CANCELLED:
        return _("Cancelled. {counts}").format(counts=counts)
    return _("Finished in {seconds:.1f} s: {counts}").format(seconds=job.seconds, counts=counts)
