"""Texts about a run, in the language of the application."""

from __future__ import annotations

from dsm.core.name_status import ResultSource
from dsm.wire.messages import Progress
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.job import JobState, SegmentationJob
from DSMSegmentLib.jobs.run_estimate import RunEstimate
from DSMSegmentLib.scene.outcome import OutcomeStatus

_MINUTE_S = 60
_GB = 1e9


def stageText(progress: Progress) -> str:
    """Return the current stage of a run."""
    texts: dict[str, str] = {
        "load": _("Starting the worker and loading the model..."),
        "measure": _("Measuring which precision is fastest, once for this computer and model..."),
        "upload": _("Sending the volume to the server..."),
        "waiting": _("Waiting for the server..."),
        "encode": _("Encoding the volume..."),
        "text": _("Encoding the prompts..."),
        "decode": _("Segmenting..."),
        "write": _("Writing..."),
    }
    return texts.get(progress.stage, progress.stage)


def progressText(progress: Progress) -> str:
    """Return one line for a running job: stage, progress, and remaining time."""
    text = f"{progress.note}: {stageText(progress)}" if progress.note else stageText(progress)
    if progress.stage == "decode" and progress.total > 1:
        text = _("Segmenting {done} of {total}...").format(
            done=min(progress.done + 1, progress.total), total=progress.total
        )
    if progress.eta is not None and progress.eta >= 1:
        text += " " + _("about {seconds:.0f} s left").format(seconds=progress.eta)
    return text


def estimateText(estimate: RunEstimate) -> str:
    """Return one line for a run that has not started."""
    seconds = estimate.seconds
    if seconds < 2 * _MINUTE_S:
        duration = _("{seconds:.0f} s").format(seconds=max(seconds, 1))
    else:
        duration = _("{minutes:.0f} minutes").format(minutes=seconds / _MINUTE_S)
    if not estimate.memoryBytes:
        return _("Encoding this volume on the server takes about {duration}, once; later prompts are fast.").format(
            duration=duration
        )
    return _(
        "Encoding this volume takes about {duration} and {memory:.1f} GB of memory, once; later prompts are fast."
    ).format(duration=duration, memory=max(estimate.memoryBytes / _GB, 0.1))


def finishedText(job: SegmentationJob) -> str:
    """Return one line for a run that has ended."""
    outcomes = job.allOutcomes
    found = sum(outcome.status is OutcomeStatus.WRITTEN for outcome in outcomes)
    missing = [outcome for outcome in outcomes if outcome.status is OutcomeStatus.NOT_FOUND]
    unknown = dict.fromkeys(outcome.prompt.name for outcome in missing if outcome.source is ResultSource.NONE)
    absent = dict.fromkeys(outcome.prompt.name for outcome in missing if outcome.source is not ResultSource.NONE)
    parts = [_("{count} found").format(count=found)]
    if absent:
        parts.append(_("not found: {names}").format(names=", ".join(absent)))
    if unknown:
        parts.append(_("not known to this model: {names}").format(names=", ".join(unknown)))
    if job.missing:
        parts.append(_("not segmented: {names}").format(names=", ".join(prompt.name for prompt in job.missing)))
    counts = "; ".join(parts) + "."
    if job.state is JobState.FAILED and job.error is not None:
        return f"{job.error.one_line} {counts}"
    if job.state is JobState.CANCELLED:
        return _("Cancelled. {counts}").format(counts=counts)
    return _("Finished in {seconds:.1f} s: {counts}").format(seconds=job.seconds, counts=counts)


def resultText(job: SegmentationJob) -> str:
    """Return the line of `finishedText`, and one per warning about the results, with the names of several."""
    names: dict[str, dict[str, None]] = {}
    for outcome in job.outcomes:
        for warning in outcome.warnings:
            names.setdefault(warning, {})[outcome.prompt.name] = None
    several = len({outcome.prompt.name for outcome in job.outcomes}) > 1
    warnings = [
        f"{', '.join(named)}: {warning}" if several and not all(name in warning for name in named) else warning
        for warning, named in names.items()
    ]
    return "\n".join([finishedText(job), *job.warnings, *warnings])
