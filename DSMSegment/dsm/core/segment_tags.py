"""Tags of a segment: the prompt it came from, what made it, and what was measured on it.

The only place of their names and values. Slicer keeps them as text in its scene, in `.seg.nrrd` and in `.mrb`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dsm._version import __version__
from dsm.core.click import Click
from dsm.core.name_status import ResultSource
from dsm.errors import InputError

if TYPE_CHECKING:
    from dsm.core.result import PromptResult

PROMPT_TAG = "DSM.Prompt"
# One text may stand for several prompts ("kidneys"), and the name of a segment may be taken or changed.
NAME_TAG = "DSM.Name"
MODEL_TAG = "DSM.Model"
MODEL_SHA256_TAG = "DSM.ModelSHA256"
VERSION_TAG = "DSM.Version"
DEVICE_TAG = "DSM.Device"
SOURCE_TAG = "DSM.Source"
_FORMER_SOURCE_TAG = "DSM.Answer"  # before 0.2.0: a guess must not be read as learned
CLICKS_TAG = "DSM.Clicks"
SCORE_TAG = "DSM.Score"
THRESHOLD_TAG = "DSM.Threshold"
CREATED_TAG = "DSM.Created"
VOLUME_TAG = "DSM.VolumeMl"
SECONDS_TAG = "DSM.Seconds"
# A person changed voxels; clicks make a segment SEMIAUTOMATIC, too, and change none by hand.
EDITED_TAG = "DSM.Edited"
NOTE_TAG = "DSM.Note"
# Without these two, Slicer's DICOM export calls the segment MANUAL.
ALGORITHM_TYPE_TAG = "DICOM.SegmentAlgorithmType"
ALGORITHM_NAME_TAG = "DICOM.SegmentAlgorithmName"
# A node reference of the scene, of a segment of another volume than that of its segmentation; of no use outside.
SOURCE_VOLUME_TAG = "DSM.SourceVolume"
# The lesions of a tumor that a person has looked at and accepted (`DSMSegmentLib.scene.lesion_review`).
ACCEPTED_TAG = "DSM.AcceptedLesions"
# Of Slicer's segment tables: in progress, or reviewed by the user.
STATUS_TAG = "Segmentation.Status"

AUTOMATIC = "AUTOMATIC"
MANUALLY_CHANGED = "SEMIAUTOMATIC"
IN_PROGRESS = "inprogress"
COMPLETED = "completed"

TAGS = (
    PROMPT_TAG,
    NAME_TAG,
    MODEL_TAG,
    MODEL_SHA256_TAG,
    VERSION_TAG,
    DEVICE_TAG,
    SOURCE_TAG,
    CLICKS_TAG,
    SCORE_TAG,
    THRESHOLD_TAG,
    CREATED_TAG,
    VOLUME_TAG,
    SECONDS_TAG,
    NOTE_TAG,
    EDITED_TAG,
    ACCEPTED_TAG,
    ALGORITHM_TYPE_TAG,
    ALGORITHM_NAME_TAG,
    STATUS_TAG,
)

_SIDES = {True: "inside", False: "outside"}
_MAX_ALGORITHM_NAME = 64  # DICOM value representation LO


@dataclass(frozen=True, slots=True)
class Provenance:
    """The program and the weights behind a result.

    Args:
        model: Name of the model, e.g. `"dsm-small"`.
        model_sha256: Digest of the model; empty where unknown.
        version: Version of DSMSegment.
        device: Device that computed the mask, e.g. `"cpu"`; empty where unknown.
    """

    model: str
    model_sha256: str = ""
    version: str = __version__
    device: str = ""

    @property
    def algorithm_name(self) -> str:
        """Name of the algorithm in DICOM SEG, at most 64 characters."""
        return f"DSMSegment {self.model} {self.version}".strip()[:_MAX_ALGORITHM_NAME]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """Metadata of a segment that came from a prompt.

    Args:
        prompt: The text, as typed.
        name: Name of the one prompt that the text was parsed to.
        provenance: What made the segment.
        score: Calibrated probability that the mask is right, 0 to 1; None where there is none (`PromptResult.score`).
        threshold: Probability above which a voxel is inside.
        volume_ml: Volume of the mask in ml; None where it was not recorded.
        seconds: Time that the prompt took, in s.
        notes: Warnings about the result, in sentences.
        source: Source of the result.
        clicks: Clicks that the mask came from, in their order.
        created: Date and time in ISO 8601; empty for now.
        edited: Whether a person had a part in the mask; clicks are one.
    """

    prompt: str
    name: str
    provenance: Provenance
    score: float | None
    threshold: float
    volume_ml: float | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    source: ResultSource = ResultSource.LEARNED
    clicks: tuple[Click, ...] = ()
    created: str = ""
    edited: bool = False

    @classmethod
    def of(cls, result: PromptResult, provenance: Provenance, *, edited: bool = False) -> SegmentFacts:
        """Return the metadata of a result.

        Args:
            result: Result with the mask of the segment.
            provenance: What made it; another model of the result takes the place of this one.
            edited: Whether a person had a part in the mask beside the clicks.
        """
        if result.model:
            provenance = replace(provenance, model=result.model, model_sha256=result.model_sha256)
        return cls(
            prompt=result.prompt.text,
            name=result.prompt.name,
            provenance=provenance,
            score=result.score,
            threshold=result.threshold,
            volume_ml=result.volume_ml,
            seconds=result.seconds,
            notes=result.notes,
            source=result.source,
            clicks=result.prompt.clicks,
            edited=edited,
        )


def to_tags(facts: SegmentFacts) -> dict[str, str]:
    """Return the tags of a segment; those without a value are left out."""
    provenance = facts.provenance
    tags = {
        ALGORITHM_TYPE_TAG: MANUALLY_CHANGED if facts.edited or facts.clicks else AUTOMATIC,
        ALGORITHM_NAME_TAG: provenance.algorithm_name,
        STATUS_TAG: IN_PROGRESS,
        PROMPT_TAG: facts.prompt,
        NAME_TAG: facts.name,
        MODEL_TAG: provenance.model,
        MODEL_SHA256_TAG: provenance.model_sha256,
        VERSION_TAG: provenance.version,
        DEVICE_TAG: provenance.device,
        SOURCE_TAG: facts.source.value,
        CLICKS_TAG: format_clicks(facts.clicks),
        SCORE_TAG: "" if facts.score is None else f"{facts.score:.3f}",
        THRESHOLD_TAG: format_threshold(facts.threshold),
        CREATED_TAG: facts.created or datetime.now(UTC).isoformat(timespec="seconds"),
        VOLUME_TAG: "" if facts.volume_ml is None else format_volume(facts.volume_ml),
        SECONDS_TAG: f"{facts.seconds:.3f}",
        NOTE_TAG: format_notes(facts.notes),
    }
    return {name: value for name, value in tags.items() if value}


def from_tags(tags: Mapping[str, str]) -> SegmentFacts | None:
    """Return what the tags of a segment say; None where it did not come from a prompt.

    Files of other versions may lack tags, and users may change them: numbers that are missing or broken are 0, and a
    missing or broken score or volume is None. Without a source, the name was a learned one; clicks that cannot be read
    are none.
    """
    if not tags.get(PROMPT_TAG):
        return None
    return SegmentFacts(
        prompt=tags[PROMPT_TAG],
        name=tags.get(NAME_TAG, ""),
        provenance=Provenance(
            tags.get(MODEL_TAG, ""),
            tags.get(MODEL_SHA256_TAG, ""),
            tags.get(VERSION_TAG, ""),
            tags.get(DEVICE_TAG, ""),
        ),
        score=_number(tags, SCORE_TAG),
        threshold=_number(tags, THRESHOLD_TAG) or 0.0,
        volume_ml=_number(tags, VOLUME_TAG),
        seconds=_number(tags, SECONDS_TAG) or 0.0,
        notes=(tags[NOTE_TAG],) if tags.get(NOTE_TAG) else (),
        source=_source(tags),
        clicks=parse_clicks(tags.get(CLICKS_TAG, "")),
        created=tags.get(CREATED_TAG, ""),
        edited=tags.get(ALGORITHM_TYPE_TAG) == MANUALLY_CHANGED,
    )


def format_volume(volume_ml: float) -> str:
    """Return the value of `VOLUME_TAG`."""
    return f"{volume_ml:.4f}"


def format_threshold(threshold: float) -> str:
    """Return the value of `THRESHOLD_TAG`."""
    return f"{threshold:g}"


def format_notes(notes: tuple[str, ...]) -> str:
    """Return the value of `NOTE_TAG`: each sentence once, without the bar that separates tags in a file."""
    return " ".join(dict.fromkeys(notes)).replace("|", "/")


def format_clicks(clicks: tuple[Click, ...]) -> str:
    """Return the value of `CLICKS_TAG`.

    Example:
        >>> format_clicks((Click((12.5, -30, 88)), Click((20, -30, 88), inside=False)))
        'inside 12.5 -30 88; outside 20 -30 88'
    """
    return "; ".join(
        " ".join((_SIDES[click.inside], *(f"{round(value, 2):.8g}" for value in click.ras_mm))) for click in clicks
    )


def parse_clicks(text: str) -> tuple[Click, ...]:
    """Read the value of `CLICKS_TAG`; nothing where it is empty or broken."""
    sides = {name: inside for inside, name in _SIDES.items()}
    try:
        rows = [piece.split() for piece in text.split(";") if piece.strip()]
        return tuple(Click((float(r), float(a), float(s)), sides[side]) for side, r, a, s in rows)
    except (InputError, KeyError, ValueError):
        return ()


def _source(tags: Mapping[str, str]) -> ResultSource:
    # Before 0.2.0, the first could be the volume that the segment came from.
    for said in (tags.get(SOURCE_TAG, ""), tags.get(_FORMER_SOURCE_TAG, "")):
        if said in list(ResultSource):
            return ResultSource(said)
    return ResultSource.LEARNED


def _number(tags: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(tags.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
