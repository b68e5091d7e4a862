"""Bodies of requests and responses, as in the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from dsm.core.click import Click
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.errors import PromptError, ProtocolError
from dsm.server.job import JobSpec, State
from dsm.text.prompt import parse_prompts
from dsm.wire.codec import from_fields, to_fields
from dsm.wire.messages import ResultMetadata

Map = Annotated[str, Field(description="A `.npy` file, zlib, base64; empty if not asked for.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """Error response."""

    code: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Health of the server; served without a token."""

    status: Literal["ok", "starting"]
    workers: int
    waiting_jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLimits:
    """Limits of a user: sizes in bytes, times in seconds."""

    upload_bytes: int
    volumes: int
    bytes: int
    jobs: int
    volume_idle_s: float
    job_idle_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Model, version and limits of the server."""

    service: Literal["dsm"]
    version: str
    protocol: int
    user: str
    model: str
    model_sha256: str
    clicks: Annotated[bool, Field(description="Whether the model segments clicked objects.")]
    workers: int
    archive: Annotated[str, Field(description="DICOMweb address of the archive; empty for none.")]
    limits: UserLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeResponse:
    """A volume on the server."""

    volume: str
    shape: tuple[int, ...]
    modality: str
    bytes: int
    expires_in_s: float


def _decoded(body: object) -> JobSpec:
    """Read the body as every other message is read: nothing is converted, and an error names the field."""
    if not isinstance(body, dict):
        raise ProtocolError("The body is no JSON object.", code="request")
    _check_names(body, JobSpec)
    if isinstance(options := body.get("options"), dict):
        _check_names(options, SegmentOptions)
    prompts = body.get("prompts", [])
    if isinstance(prompts, list) and prompts and all(isinstance(text, str) for text in prompts):
        prompts = [to_fields(prompt) for prompt in parse_prompts(prompts)]
    elif isinstance(prompts, list):
        prompts = [fields for prompt in prompts for fields in _prompt_fields(prompt)]
    return from_fields(JobSpec, {**body, "prompts": prompts}, where="job")


def _prompt_fields(prompt: object) -> list[object]:
    """Parse a prompt that is a text, or a text with clicks; return parsed ones as they are."""
    if isinstance(prompt, str):
        return [to_fields(parsed) for parsed in parse_prompts(prompt)]
    if isinstance(prompt, dict) and "name" not in prompt and isinstance(prompt.get("text"), str):
        parsed = parse_prompts(prompt["text"])
        if len(parsed) > 1 and prompt.get("clicks"):
            raise PromptError("The clicks of a prompt are for one object; its text names several.")
        return [{**to_fields(one), **prompt} for one in parsed]
    return [prompt]


def _check_names(body: dict[str, object], cls: type) -> None:
    """Refuse what is misspelt; messages between programs ignore what they do not know."""
    if unknown := body.keys() - {field.name for field in fields(cls)}:
        raise ProtocolError(f"There is no field '{min(unknown)[:40]}'.", code="request")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickedText:
    """Text of one prompt, and clicks on its object."""

    text: str
    clicks: Annotated[tuple[Click, ...], Field(description="At most 200; at least one is inside, but on an organ.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBody(JobSpec):
    """Body of a job request: a `JobSpec` whose prompts may also be texts, with or without clicks."""

    prompts: tuple[str | ClickedText | Prompt, ...] = ()  # type: ignore[assignment]  # read by `_decoded`


JobRequest = Annotated[JobSpec, BeforeValidator(_decoded, json_schema_input_type=JobBody)]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResponse:
    """A job and its state."""

    job: str
    volume: Annotated[str, Field(description="Id of its volume; empty until a series was fetched.")]
    state: State
    attempts: int
    stored: Annotated[str, Field(description="DICOMweb address of what was stored; empty for nothing.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultResponse(ResultMetadata):
    """Result of one prompt, with its voxels."""

    type: Literal["result"] = "result"
    prompt: Annotated[int, Field(description="Index of the prompt in the job, from 0.")]
    mask: Annotated[str, Field(description="Bits in C order, packed, zlib, base64; empty for no voxel.")]
    probability: Map
    uncertainty: Map


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsResponse:
    """All results so far."""

    job: str
    state: State
    results: tuple[ResultResponse, ...]
