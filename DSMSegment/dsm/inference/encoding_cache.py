"""Disk cache of encoded volumes.

Off unless the user names a folder, because features are made of patients' images.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.errors import OutputError
from dsm.io.atomic import PART_PREFIX, atomic_output
from dsm.nn.dsm_net import Encoding
from dsm.nn.kmax_layer import LevelMemory, OrganState
from dsm.wire.arrays import content_key

FOLDER_VARIABLE = "DSM_CACHE_DIR"
BUDGET_VARIABLE = "DSM_CACHE_GB"
DEFAULT_BUDGET_BYTES = 4 * 10**9

_log = logging.getLogger(__name__)

# Part of every key: raise it when what is computed or stored changes, so that old files are never read.
_LAYOUT = 2
_SUFFIX = ".encoding"
# Nobody takes an hour to write one: the process that had begun it was killed.
_ABANDONED_S = 3600.0
_PARTS = {"memories": LevelMemory, "organ_states": OrganState}


class EncodingCache:
    """A folder of encodings under the hash of what made them, the longest unused of which go when it is full.

    Never a reason to fail: what cannot be read is computed again, what cannot be written is not kept.

    Args:
        folder: Made when the first encoding is kept.
        budget_bytes: Most that the files take together.
    """

    def __init__(self, folder: Path, *, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes

    @classmethod
    def from_environment(cls) -> EncodingCache | None:
        """Return the cache that `DSM_CACHE_DIR` (and `DSM_CACHE_GB`, by default 4) names; None where it names none."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return None
        try:
            budget = float(os.environ.get(BUDGET_VARIABLE, "nan")) * 1e9
        except ValueError:
            budget = float("nan")
        return cls(Path(folder), budget_bytes=int(budget) if budget >= 0 else DEFAULT_BUDGET_BYTES)

    def load(self, key: str, *, device: torch.device) -> Encoding | None:
        """Return the encoding that was kept under `key`, bit for bit; None where there is none that is whole."""
        path = self._path(key)
        before = _identity(path)
        if before is None:
            return None
        try:
            encoding = _read(path, device)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            if _identity(path) != before:  # another process evicted it meanwhile, and may have written it anew
                return None
            _log.warning("The cached encoding %s is damaged (%s); it is made again.", path, error)
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)  # used now, so among the last to go
        return encoding

    def keep(self, key: str, encoding: Encoding) -> None:
        """Write an encoding, then remove the ones that were not used for longest until the budget is met."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with atomic_output(self._path(key)) as part:
                _write(part, encoding)
            self._evict()
        except (OSError, OutputError, SafetensorError) as error:
            _log.warning("The encoding was not kept in %s: %s", self._folder, error)

    def _path(self, key: str) -> Path:
        return self._folder / (key + _SUFFIX)

    def _evict(self) -> None:
        entries = []
        for path in self._folder.glob("*" + _SUFFIX):
            with suppress(FileNotFoundError):  # another process evicts, too
                status = path.stat()
                if not path.name.startswith(PART_PREFIX):
                    entries.append((status.st_mtime_ns, status.st_size, path))
                elif time.time() - status.st_mtime > _ABANDONED_S:
                    path.unlink()
        left = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if left <= self._budget_bytes:
                break
            path.unlink(missing_ok=True)
            left -= size


def encoding_keys(
    volume: Volume, *, model_digest: str, precision: str = "float32", region: Box | None = None
) -> dict[Box | None, str]:
    """Name the encodings that serve by everything that decides them: voxels, place, modality, model, precision, layout.

    Returns:
        Region that was encoded (None: everything) → key. That of the whole volume comes first: it has the region's
        features, too.
    """
    content = content_key(volume.array, volume.affine.tolist(), volume.modality)  # a pass over all voxels
    parts = [content, model_digest, precision, str(_LAYOUT)]
    keys: dict[Box | None, str] = {None: _digest(parts)}
    if region is not None:
        keys[region] = _digest([*parts, str((region.start, region.stop))])
    return keys


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell a file from another one of the same name; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _write(path: Path, encoding: Encoding) -> None:
    tensors, notes = {}, {}
    for name, tensor in _named("", encoding):
        # In memory order, so that nothing is transposed here or when it is read.
        order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
        laid_out = tensor.detach().cpu().permute(order).contiguous()
        tensors[name] = laid_out
        notes[name] = _note(order, laid_out)
    save_file(_without_shared_memory(tensors), path, metadata=notes)


def _read(path: Path, device: torch.device) -> Encoding:
    found: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as file:
        for name, note in file.metadata().items():
            order = [int(axis) for axis in note.split(";")[0].split(",")]
            tensor = file.get_tensor(name)
            if _note(order, tensor) != note:
                raise ValueError(f"the checksum of {name} is wrong")
            found[name] = tensor.permute([order.index(axis) for axis in range(tensor.ndim)]).to(device)
    return _built(Encoding, found)


def _note(order: list[int], tensor: Tensor) -> str:
    text = ",".join(map(str, order))
    return f"{text};{zlib.crc32(tensor.numpy().data, zlib.crc32(text.encode()))}"


def _named(prefix: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """Walk through dataclasses and tuples of tensors, in the order of the fields."""
    if isinstance(value, Tensor):
        yield prefix, value
        return
    names = [f.name for f in fields(value)] if is_dataclass(value) else range(len(value))
    for name in names:
        part = getattr(value, name) if isinstance(name, str) else value[name]
        yield from _named(f"{prefix}.{name}" if prefix else str(name), part)


def _built(kind: type[Any], tensors: dict[str, Tensor]) -> Any:
    """Build a dataclass from what `_named` gave; a field that is missing raises `TypeError`."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        head, _, rest = name.partition(".")
        parts.setdefault(head, {})[rest] = tensor
    return kind(**{name: _field(name, inside) for name, inside in parts.items()})


def _field(name: str, inside: dict[str, Tensor]) -> Any:
    if "" in inside:
        return inside[""]
    items: dict[int, dict[str, Tensor]] = {}
    for path, tensor in inside.items():
        number, _, rest = path.partition(".")
        items.setdefault(int(number), {})[rest] = tensor
    ordered = [items[number] for number in range(len(items))]
    return tuple(item[""] if "" in item else _built(_PARTS[name], item) for item in ordered)


def _without_shared_memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy what shares memory with another tensor, which the format cannot express."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        address = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return result
