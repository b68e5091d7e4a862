"""The Slicer side of DSMSegment: volume nodes to the worker, masks back as segments. No torch in here.

Names that Slicer users call are written as Slicer writes them (camelCase).
"""

from dsm.core.segment_tags import Provenance
from DSMSegmentLib.jobs.backend import Backend, WorkerBackend
from DSMSegmentLib.jobs.job import JobOptions, JobState, SegmentationJob
from DSMSegmentLib.jobs.remote_backend import RemoteBackend
from DSMSegmentLib.jobs.runs import Runs
from DSMSegmentLib.scene.mrml import volumeFromNode
from DSMSegmentLib.scene.outcome import OutcomeStatus, SegmentOutcome
from DSMSegmentLib.scene.policy import ExistingPolicy, OverlapPolicy
from DSMSegmentLib.scene.undo import UndoHistory
from DSMSegmentLib.scene.writer import SegmentationWriter

__all__ = [
    "Backend",
    "ExistingPolicy",
    "JobOptions",
    "JobState",
    "OutcomeStatus",
    "OverlapPolicy",
    "Provenance",
    "RemoteBackend",
    "Runs",
    "SegmentOutcome",
    "SegmentationJob",
    "SegmentationWriter",
    "UndoHistory",
    "WorkerBackend",
    "volumeFromNode",
]
