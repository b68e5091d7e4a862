"""The bodies of requests and answers, as OpenAPI shows them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dsm.server.job import Mode, State
from dsm.text.prompt import MAX_PROMPT_CHARACTERS, MAX_PROMPTS


def _whole(value: object) -> object:
    """JSON has one kind of number: 3.0 is an integer, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Voxels = Annotated[int, Field(ge=0, le=2**31), BeforeValidator(_whole)]


Map = Annotated[str, Field(description="A `.npy` file, zlib, base64; empty if not asked for.")]


class Problem(BaseModel):
    """Why a request was not served."""

    code: str
    text: str
    hint: str = ""


class Health(BaseModel):
    """Whether jobs can be run now; without a token."""

    status: Literal["ok", "starting"]
    workers: int
    waiting_jobs: int


class LimitsShown(BaseModel):
    """What a user may take."""

    upload_bytes: int
    volumes: int
    bytes: int
    jobs: int
    volume_idle_s: float
    job_idle_s: float


class Capabilities(BaseModel):
    """What the server is and has."""

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


class JobRequest(BaseModel):
    """What to do with a volume."""

    model_config = ConfigDict(extra="forbid", strict=True)

    volume: Annotated[str, Field(max_length=64)]
    prompts: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)]], Field(max_length=MAX_PROMPTS)
    ] = []
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    postprocess: bool = True
    probabilities: bool = False
    uncertainty: bool = False
    mode: Annotated[Mode, Field(description="`fast` leaves out the diffusion prompts of tumors.")] = "auto"
    roi: Annotated[list[Voxels], Field(min_length=6, max_length=6)] | None = None


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
