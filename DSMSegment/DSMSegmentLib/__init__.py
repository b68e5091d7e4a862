"""The Slicer side of DSMSegment: volume nodes to the worker, masks back as segments. No torch in here.

Names that Slicer users call are written as Slicer writes them (camelCase).
"""

from DSMSegmentLib.backend import Backend, WorkerBackend
from DSMSegmentLib.finding import Finding, OutcomeStatus, SegmentOutcome
from DSMSegmentLib.job import JobOptions, JobState, SegmentationJob
from DSMSegmentLib.job_progress import JobProgress
from DSMSegmentLib.mrml import volumeFromNode
from DSMSegmentLib.policy import ExistingPolicy, OverlapPolicy
from DSMSegmentLib.provenance import Provenance
from DSMSegmentLib.remote_backend import RemoteBackend
from DSMSegmentLib.request import SegmentRequest
from DSMSegmentLib.runs import Runs
from DSMSegmentLib.undo import UndoHistory
from DSMSegmentLib.writer import SegmentationWriter

__all__ = [
    "Backend",
    "ExistingPolicy",
    "Finding",
    "JobOptions",
    "JobProgress",
    "JobState",
    "OutcomeStatus",
    "OverlapPolicy",
    "Provenance",
    "RemoteBackend",
    "Runs",
    "SegmentOutcome",
    "SegmentRequest",
    "SegmentationJob",
    "SegmentationWriter",
    "UndoHistory",
    "WorkerBackend",
    "volumeFromNode",
]
