"""Messages between a host and the worker: each a frozen dataclass, sent as one JSON line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dsm.core.boxes import Box, Index3
from dsm.core.click import check_clicks
from dsm.core.name_status import NameStatus
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.errors import PromptError, ProtocolError
from dsm.wire.codec import from_fields, to_fields

# Incremented for changes that an older host or worker would misread. New optional fields and message types need no new
# number: unknown fields are ignored, and unknown types answered with an error.
PROTOCOL_VERSION = 4

# 200 prompts of 4 kB, each character escaped, fit; voxels never travel in a line.
MAX_LINE_BYTES = 4 * 2**20
MAX_ID_LENGTH = 128
# Volumes that a worker keeps, encoded or not, each hundreds of MB; a client keeps as many on a server.
KEPT_VOLUMES = 2

Row: TypeAlias = tuple[float, float, float, float]
Affine: TypeAlias = tuple[Row, Row, Row, Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Host: the first message. Answered by `Ready`.

    Args:
        folder: Absolute path of the folder that the host owns; every file of this session lies directly in it.
        host: Name and version of the host, for the log.
    """

    folder: str
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Host: make a model ready. Answered by `Progress` and `Done`.

    Args:
        id: Job id, chosen by the host and unique in the session.
        model: Name of an installed model, or the path of a model folder.
        sha256: Expected digest of the model (`ModelEntry.digest`); empty to trust its manifest.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`, or `"auto"` for the first GPU that works, else the CPU.
        precision: `"float32"`, `"bfloat16"` or `"int8"`, or `"auto"` for the fastest on the device.
    """

    id: str
    model: str
    sha256: str = ""
    device: str = "cpu"
    precision: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Host: measure the encoding speed of the loaded model, in a second or two. Answered by `Progress` and `Done`.

    Args:
        id: Job id.
    """

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVolume:
    """Host: encode a volume unless its encoding is cached. Answered by `Progress` and `Done`.

    Args:
        id: Job id.
        key: Identifier of the volume, chosen by the host; later `Segment` messages refer to it.
        array: Name of a `.npy` file in the host's folder, `[I, J, K]`. Empty to use the volume that was sent under
            `key`; answered with the error `no_volume` where it is gone, and then to be sent.
        affine: Rows of the 4x4 matrix from voxel index to RAS millimetres.
        modality: `"CT"` or `"MR"`.
        name: Display name of the volume, for messages only.
        region: Region of interest under this key: only it and its surroundings are encoded, unless the whole volume is
            encoded already. None for the whole volume.
        encode: Whether to encode it now. Without, clicks can be segmented at once, and the first prompt without clicks
            encodes it.
    """

    id: str
    key: str
    array: str
    affine: Affine
    modality: str = "CT"
    name: str = "volume"
    region: Box | None = None
    encode: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptItem:
    """One prompt of a `Segment` message.

    Args:
        id: Identifier of the prompt, chosen by the host; returned in `Result.prompt_id`.
        prompt: Prompt as parsed by the host.
        file: Prefix of the file names of its result, in the host's folder.
    """

    id: str
    prompt: Prompt
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Host: segment prompts in a volume. Answered by `Progress`, one `Result` a prompt, and `Done`.

    Args:
        id: Job id.
        volume_key: `SetVolume.key` of a volume.
        prompts: At least one.
        options: Options of the run.
    """

    id: str
    volume_key: str
    prompts: tuple[PromptItem, ...]
    options: SegmentOptions = field(default_factory=SegmentOptions)

    def check_prompts(self) -> None:
        """Check that there is a prompt, and that clicks say where an object is.

        Raises:
            PromptError: Code `"prompt.empty"`, if there is none.
            InputError: See `dsm.core.click.check_clicks`.
        """
        if not self.prompts:
            raise PromptError("There is no prompt.", code="prompt.empty", hint="Name what to segment, e.g. 'liver'.")
        for item in self.prompts:
            if item.prompt.clicks:
                check_clicks(item.prompt.clicks, item.prompt.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Host: stop job `id`, running or waiting; it ends with `Error(code="cancelled")`. Unknown ids are ignored."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Host: free memory. Answered by `Done`.

    Args:
        id: Job id.
        volume_key: Volume to forget; empty for all volumes and the model.
    """

    id: str
    volume_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """Host: finish the jobs that were sent and exit. Closing the pipe instead makes it exit at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Device that the network can run on.

    Args:
        id: Value for `Load.device`.
        name: Display name.
        free: Free memory in bytes, 0 when unknown.
        total: Memory in bytes, 0 when unknown.
        usable: Whether the network can run there.
        reason: Reason why it is not usable; empty if it is.
    """

    id: str
    name: str
    free: int = 0
    total: int = 0
    usable: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Worker: response to `Hello`.

    Args:
        pid: Process id of the interpreter itself (the process that the host started may be a launcher).
        worker: Version of the engine.
        python: Version of the interpreter.
        torch: Version of PyTorch; empty when it is not installed.
        devices: Devices found without importing PyTorch; `Load` checks the one that it uses.
    """

    pid: int
    worker: str
    python: str
    torch: str
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Worker: `done` of `total` steps of a stage are finished.

    Args:
        id: Job id.
        stage: `"load"`, `"measure"`, `"encode"`, `"text"`, `"decode"` or `"write"`; with a server also `"upload"` and
            `"waiting"`.
        done: Finished steps.
        total: All steps of this stage.
        eta: Estimated seconds until the stage ends; None while unknown.
        note: Remark for the user, e.g. that a job is repeated with less memory.
    """

    id: str
    stage: str
    done: int
    total: int
    eta: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultMetadata:
    """Result of one prompt, without its voxels: the same in a message of the worker and in a response of the server.

    Args:
        name: Canonical name of the structure, or the normalised words of a free prompt.
        kind: `"organ"` or `"tumor"`.
        offset_ijk: Voxel of the volume where the crop of the mask starts.
        size: Voxels of the crop along i, j, k; zeros when the mask is empty.
        voxels: Voxels inside the mask.
        volume_mm3: Volume of the mask.
        score: Calibrated probability that the mask is right, 0 to 1; None where there is none (`PromptResult.score`).
        found: Whether the structure was found; an empty mask is never found.
        threshold: Threshold that was used.
        seconds: Time that this prompt took.
        warnings: Sentences for the user.
        suggestions: Names that the user may have meant.
        name_status: Relation of the name to the training labels of the model; None where it was not determined.
        guess: Whether the mask is the network's guess at a name that it has not learned.
        probability_offset_ijk: Voxel of the volume where the probability map starts.
        uncertainty_offset_ijk: Voxel of the volume where the uncertainty map starts.
        model: Name of the model that segmented it, where it is another one than the loaded.
        model_sha256: Digest of that model.
    """

    name: str
    kind: str
    offset_ijk: Index3
    size: Index3
    voxels: int
    volume_mm3: float
    score: float | None
    found: bool
    threshold: float
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    name_status: NameStatus | None = None
    guess: bool = False
    probability_offset_ijk: Index3 = (0, 0, 0)
    uncertainty_offset_ijk: Index3 = (0, 0, 0)
    model: str = ""
    model_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(ResultMetadata):
    """Worker: one prompt is finished and its mask is written.

    Args:
        id: Job id.
        prompt_id: `PromptItem.id`.
        file: Mask file in the host's folder (see `dsm.wire.arrays.read_mask`); empty when the mask is empty.
        probability_file: Probability map as `.npy`; empty if not requested.
        uncertainty_file: Uncertainty map, 0 sure to 1 undecided, as `.npy`; empty if not requested.
    """

    id: str
    prompt_id: str
    file: str
    probability_file: str = ""
    uncertainty_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Worker: job `id` is finished; no more messages about it follow.

    Args:
        id: Job id.
        seconds: Wall time of the job.
        device: Device of the model; empty when none is loaded.
        peak_memory: Largest memory so far in bytes: of the GPU where it ran there, else of the process; 0 if unknown.
        cached: Whether the model was loaded or the volume encoded already; from a server, whether it has the volume.
        seconds_per_megavoxel: Time to encode a million voxels of the working grid, in s; 0 unless measured.
    """

    id: str
    seconds: float
    device: str = ""
    peak_memory: int = 0
    cached: bool = False
    seconds_per_megavoxel: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Worker: job `id` failed; no more messages about it follow. Results sent before stay valid.

    Args:
        id: Job id; empty for a line that cannot be parsed.
        code: Stable identifier, e.g. `"cancelled"`, `"oom_ram"`, `"no_model"`; for programs.
        text: Description of the error, in one sentence.
        hint: Remedy for the user.
        details: For a log or a bug report, e.g. a traceback.
    """

    id: str
    code: str
    text: str
    hint: str = ""
    details: str = ""


Request: TypeAlias = Load | Measure | SetVolume | Segment | Release
HostMessage: TypeAlias = Hello | Request | Cancel | Shutdown
WorkerMessage: TypeAlias = Ready | Progress | Result | Done | Error
Message: TypeAlias = HostMessage | WorkerMessage

HOST_TYPES: Mapping[str, type[HostMessage]] = {
    "hello": Hello,
    "load": Load,
    "measure": Measure,
    "set_volume": SetVolume,
    "segment": Segment,
    "cancel": Cancel,
    "release": Release,
    "shutdown": Shutdown,
}
WORKER_TYPES: Mapping[str, type[WorkerMessage]] = {
    "ready": Ready,
    "progress": Progress,
    "result": Result,
    "done": Done,
    "error": Error,
}
_TYPE_NAMES: Mapping[type, str] = {cls: name for name, cls in (*HOST_TYPES.items(), *WORKER_TYPES.items())}


def encode_message(message: Message) -> bytes:
    """Return the message as one line of ASCII JSON that ends with a newline.

    ASCII, so that no locale, pipe or split chunk can damage a name in another script.

    Raises:
        ProtocolError: If the line would be longer than `MAX_LINE_BYTES` or a number is not finite.
    """
    fields = {"type": _TYPE_NAMES[type(message)], "protocol": PROTOCOL_VERSION, **to_fields(message)}
    try:
        line = json.dumps(fields, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
    except ValueError as error:
        raise ProtocolError(f"A {fields['type']} message has a number that is not finite.") from error
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolError(
            f"A {fields['type']} message has {len(line)} bytes; at most {MAX_LINE_BYTES} are allowed.",
            code="protocol.too_long",
            hint="Send fewer or shorter prompts at a time.",
        )
    return line


def decode_request(line: bytes) -> HostMessage:
    """Decode a line from the host.

    Raises:
        ProtocolError: If the line is too long, no JSON object, of an unknown type or version (code `"unsupported"`),
            or has a field of another type.
    """
    message: HostMessage = _decode(line, HOST_TYPES)
    return message


def decode_event(line: bytes) -> WorkerMessage:
    """Decode a line from the worker; raises as `decode_request`."""
    message: WorkerMessage = _decode(line, WORKER_TYPES)
    return message


def job_id_of(line: bytes) -> str:
    """Return the job id of a malformed line, so that its sender gets an error; `""` without one."""
    try:
        job_id = _parse(line).get("id")
    except ProtocolError:
        return ""
    return job_id if isinstance(job_id, str) and len(job_id) <= MAX_ID_LENGTH else ""


def _decode(line: bytes, types: Mapping[str, type[Any]]) -> Any:
    fields = _parse(line)
    name = fields.get("type")
    if not isinstance(name, str):
        raise ProtocolError("A message needs a field 'type'.")
    version = fields.get("protocol", PROTOCOL_VERSION)
    if version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"The message speaks protocol {str(version)[:40]}; this side speaks {PROTOCOL_VERSION}.",
            code="unsupported",
            hint="Install the same version of DSMSegment on both sides.",
        )
    if name not in types:
        raise ProtocolError(f"There is no message of type '{name[:40]}'.", code="unsupported")
    message = from_fields(types[name], fields, where=name)
    if len(getattr(message, "id", "")) > MAX_ID_LENGTH:
        raise ProtocolError(f"{name}.id is longer than {MAX_ID_LENGTH} characters.")
    return message


def _parse(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolError(
            f"The line has more than {MAX_LINE_BYTES} bytes.",
            code="protocol.too_long",
            hint="Send arrays as files, not in messages.",
        )
    try:
        fields = json.loads(line, parse_constant=_refuse_constant)
    # ValueError covers bad UTF-8, bad JSON and integers of thousands of digits; RecursionError deep nesting.
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"The line is not JSON ({str(error)[:200]}).") from error
    if not isinstance(fields, dict):
        raise ProtocolError(f"The line is a JSON {type(fields).__name__}; an object is needed.")
    return fields


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")
