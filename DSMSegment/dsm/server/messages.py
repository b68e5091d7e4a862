"""The bodies of requests and answers, as OpenAPI shows them."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.errors import ProtocolError
from dsm.server.job import JobSpec, State
from dsm.text.prompt import parse_prompts
from dsm.wire.codec import from_fields, to_fields

Map = Annotated[str, Field(description="A `.npy` file, zlib, base64; empty if not asked for.")]


class ErrorResponse(BaseModel):
    """Error response."""

    code: str
    text: str
    hint: str = ""


class Health(BaseModel):
    """Health of the server; served without a token."""

    status: Literal["ok", "starting"]
    workers: int
    waiting_jobs: int


class LimitsShown(BaseModel):
    """Limits of a user."""

    upload_bytes: int
    volumes: int
    bytes: int
    jobs: int
    volume_idle_s: float
    job_idle_s: float


class Capabilities(BaseModel):
    """Model, version and limits of the server."""

    service: Literal["dsm"]
    version: str
    protocol: int
    user: str
    model: str
    model_sha256: str
    workers: int
    limits: LimitsShown


class VolumeShown(BaseModel):
    """A volume on the server."""

    volume: str
    shape: list[int]
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
        return from_fields(JobSpec, {**body, "prompts": [to_fields(prompt) for prompt in parse_prompts(prompts)]})
    return from_fields(JobSpec, body, where="job")


def _check_names(body: dict[str, object], cls: type) -> None:
    """Refuse what is misspelt; messages between programs ignore what they do not know."""
    if unknown := body.keys() - {field.name for field in fields(cls)}:
        raise ProtocolError(f"There is no field '{min(unknown)[:40]}'.", code="request")


class JobBody(BaseModel):
    """Body of a job request: `JobSpec`, whose prompts may also be texts."""

    volume: str
    prompts: list[str | Prompt] = []
    options: SegmentOptions = SegmentOptions()


JobRequest = Annotated[JobSpec, BeforeValidator(_decoded, json_schema_input_type=JobBody)]


class JobResponse(BaseModel):
    """A job and where it stands."""

    job: str
    volume: str
    state: State
    attempts: int


class ResultResponse(BaseModel):
    """The answer to one prompt; the fields are those of `dsm.wire.messages.Result`."""

    type: Literal["result"]
    prompt: Annotated[int, Field(description="Number of the prompt in the job, from 0.")]
    name: str
    kind: str
    offset_ijk: list[int]
    size: list[int]
    voxels: int
    volume_mm3: float
    score: float
    empty: bool
    found: bool
    threshold: float
    seconds: float
    warnings: list[str]
    suggestions: list[str]
    probability_offset_ijk: list[int]
    uncertainty_offset_ijk: list[int]
    mask: Annotated[str, Field(description="Bits in C order, packed, zlib, base64; empty for no voxel.")]
    probability: Map
    uncertainty: Map


class ResultsShown(BaseModel):
    """All answers so far."""

    job: str
    state: State
    results: list[ResultResponse]
