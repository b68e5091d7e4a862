"""The wire format, written down a second time: a change here is a change for every host and needs a decision.

New optional fields and new messages may be added to the table. Anything else (a field that goes, is renamed, changes
its type or becomes required) breaks hosts that exist, and needs a new `PROTOCOL_VERSION`.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import dsm
from dsm.core.click import Click
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.wire.messages import HOST_TYPES, MAX_LINE_BYTES, PROTOCOL_VERSION, WORKER_TYPES, Device, PromptItem

# Message -> its fields; "=" marks those that may be left out.
SCHEMA = {
    "hello": {"folder": "str", "host": "=str"},
    "load": {"id": "str", "model": "str", "sha256": "=str", "device": "=str", "precision": "=str"},
    "measure": {"id": "str"},
    "set_volume": {
        "id": "str",
        "key": "str",
        "array": "str",
        "affine": "Affine",
        "modality": "=str",
        "name": "=str",
        "region": "=Box | None",
        "encode": "=bool",
    },
    "segment": {
        "id": "str",
        "volume_key": "str",
        "prompts": "tuple[PromptItem, ...]",
        "options": "=SegmentOptions",
    },
    "cancel": {"id": "str"},
    "release": {"id": "str", "volume_key": "=str"},
    "shutdown": {},
    "ready": {
        "pid": "int",
        "worker": "str",
        "python": "str",
        "torch": "str",
        "devices": "tuple[Device, ...]",
    },
    "progress": {
        "id": "str",
        "stage": "str",
        "done": "int",
        "total": "int",
        "eta": "=float | None",
        "note": "=str",
    },
    "result": {
        "name": "str",
        "kind": "str",
        "offset_ijk": "Index3",
        "size": "Index3",
        "voxels": "int",
        "volume_mm3": "float",
        "score": "float | None",
        "found": "bool",
        "threshold": "float",
        "seconds": "=float",
        "warnings": "=tuple[str, ...]",
        "suggestions": "=tuple[str, ...]",
        "name_status": "=NameStatus | None",
        "guess": "=bool",
        "probability_offset_ijk": "=Index3",
        "uncertainty_offset_ijk": "=Index3",
        "model": "=str",
        "model_sha256": "=str",
        "id": "str",
        "prompt_id": "str",
        "file": "str",
        "probability_file": "=str",
        "uncertainty_file": "=str",
    },
    "done": {
        "id": "str",
        "seconds": "float",
        "device": "=str",
        "peak_memory": "=int",
        "cached": "=bool",
        "seconds_per_megavoxel": "=float",
    },
    "error": {"id": "str", "code": "str", "text": "str", "hint": "=str", "details": "=str"},
}
PROMPT_ITEM = {"id": "str", "prompt": "Prompt", "file": "str"}
PROMPT = {
    "text": "str",
    "name": "str",
    "kind": "Kind",
    "structure": "=Structure | None",
    "warnings": "=tuple[str, ...]",
    "suggestions": "=tuple[str, ...]",
    "clicks": "=tuple[Click, ...]",
}
CLICK = {"ras_mm": "tuple[float, float, float]", "inside": "=bool"}
OPTIONS = {
    "threshold": "=float",
    "postprocess": "=bool",
    "fast": "=bool",
    "guess": "=bool",
    "probabilities": "=bool",
    "uncertainty": "=bool",
    "region": "=Box | None",
}
DEVICE = {
    "id": "str",
    "name": "str",
    "free": "=int",
    "total": "=int",
    "usable": "=bool",
    "reason": "=str",
}


def described(cls: type) -> dict[str, str]:
    return {
        field.name: str(field.type) if field.default is field.default_factory is MISSING else f"={field.type}"
        for field in fields(cls)
    }


def test_messages_match_protocol_4() -> None:
    assert PROTOCOL_VERSION == 4
    assert {name: described(cls) for name, cls in (*HOST_TYPES.items(), *WORKER_TYPES.items())} == SCHEMA
    assert described(PromptItem) == PROMPT_ITEM
    assert described(Prompt) == PROMPT
    assert described(Click) == CLICK
    assert described(SegmentOptions) == OPTIONS
    assert described(Device) == DEVICE
    assert MAX_LINE_BYTES == 4 * 2**20


def test_client_imports_neither_torch_nor_the_engine() -> None:
    code = (
        "import sys, dsm.client.process; "
        "bad = {'torch', 'scipy', 'SimpleITK', 'dsm.worker', 'dsm.inference'} & set(sys.modules); "
        "sys.exit(repr(bad) if bad else 0)"
    )
    parent = str(Path(dsm.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": parent}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_worker_starts_without_torch_and_without_the_command_line() -> None:
    code = (
        "import sys, dsm.worker.process; "
        "bad = {'torch', 'open_clip', 'monai', 'SimpleITK', 'jsonargparse', 'dsm.inference.segmenter'} "
        "& set(sys.modules); "
        "sys.exit(repr(bad) if bad else 0)"
    )
    parent = str(Path(dsm.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": parent}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
