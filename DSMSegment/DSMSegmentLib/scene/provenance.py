"""Provenance tags of a segment, for people, for undo and for DICOM SEG."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

PROMPT_TAG = "DSM.Prompt"
# One text may stand for several prompts ("kidneys"), and the name of a segment may be taken or changed.
NAME_TAG = "DSM.Name"
MODEL_TAG = "DSM.Model"
MODEL_SHA256_TAG = "DSM.ModelSHA256"
VERSION_TAG = "DSM.Version"
DEVICE_TAG = "DSM.Device"
SCORE_TAG = "DSM.Score"
THRESHOLD_TAG = "DSM.Threshold"
CREATED_TAG = "DSM.Created"
VOLUME_TAG = "DSM.VolumeMl"
SECONDS_TAG = "DSM.Seconds"
# What to know about a result, in sentences; most have none.
NOTE_TAG = "DSM.Note"
# Only of a segment of another volume than that of its segmentation; see `segment_volumes`.
SOURCE_TAG = "DSM.Source"
# Without these two, Slicer's DICOM export calls the segment MANUAL.
ALGORITHM_TYPE_TAG = "DICOM.SegmentAlgorithmType"
ALGORITHM_NAME_TAG = "DICOM.SegmentAlgorithmName"
# Values of the first: made by the network, and made by it but changed by hand.
AUTOMATIC = "AUTOMATIC"
MANUALLY_CHANGED = "SEMIAUTOMATIC"
TAGS = (
    PROMPT_TAG,
    NAME_TAG,
    MODEL_TAG,
    MODEL_SHA256_TAG,
    VERSION_TAG,
    DEVICE_TAG,
    SCORE_TAG,
    THRESHOLD_TAG,
    CREATED_TAG,
    ALGORITHM_TYPE_TAG,
    ALGORITHM_NAME_TAG,
)

# DICOM value representation LO.
_MAX_ALGORITHM_NAME = 64


@dataclass(frozen=True, slots=True)
class Provenance:
    """The program and the weights behind a run.

    Args:
        model: Name of the model folder, e.g. `"dsm-small"`.
        modelSha256: Of its weights; empty where unknown.
        version: Of DSMSegment.
        device: That computed the masks, e.g. `"cpu"`.
    """

    model: str
    modelSha256: str = ""
    version: str = ""
    device: str = ""

    @property
    def algorithmName(self) -> str:
        """Segmentation algorithm name for DICOM SEG."""
        return f"DSMSegment {self.model} {self.version}".strip()[:_MAX_ALGORITHM_NAME]

    def tags(self, promptText: str, *, score: float, threshold: float) -> dict[str, str]:
        """Return all tags for one segment; those without a value are left out."""
        tags = {
            ALGORITHM_TYPE_TAG: AUTOMATIC,
            ALGORITHM_NAME_TAG: self.algorithmName,
            PROMPT_TAG: promptText,
            MODEL_TAG: self.model,
            MODEL_SHA256_TAG: self.modelSha256,
            VERSION_TAG: self.version,
            DEVICE_TAG: self.device,
            SCORE_TAG: f"{score:.3f}",
            THRESHOLD_TAG: f"{threshold:g}",
            CREATED_TAG: datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return {name: value for name, value in tags.items() if value}
