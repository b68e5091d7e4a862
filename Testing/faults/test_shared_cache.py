"""Several processes, as of several hosts, on one cache of encodings: no partial encoding is ever read."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import torch

from dsm.core.volume import Volume
from dsm.inference.encoding_cache import EncodingCache
from dsm.inference.segmenter import Segmenter
from dsm.io.atomic import PART_PREFIX

KEYS = [f"{n:064d}" for n in range(4)]
CAPACITY = 2.5  # encodings; so that each process evicts what the others are about to read


def test_cache_hits_are_complete_while_processes_write_evict_and_are_killed(tiny_model, tmp_path):
    _fill_cache(tiny_model, tmp_path / "originals")
    size = (tmp_path / "originals" / f"{KEYS[0]}.encoding").stat().st_size
    command = [
        sys.executable,
        __file__,
        str(tmp_path / "originals"),
        str(tmp_path / "shared"),
        str(int(CAPACITY * size)),
    ]
    writers = [subprocess.Popen([*command, "60"], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    victim = subprocess.Popen([*command, "1000000"], stdout=subprocess.PIPE, text=True)
    assert victim.stdout.readline() == "ready\n"
    time.sleep(0.5)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    outputs = [writer.communicate(timeout=120)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert sum(int(hits) for _, hits in outputs) > 0
    sizes = {path: path.stat().st_size for path in (tmp_path / "shared").glob("*.encoding")}
    partial = [path for path in sizes if path.name.startswith(PART_PREFIX)]
    assert len(partial) <= 1  # by the killed process; it goes after an hour
    assert sum(sizes.values()) <= (CAPACITY + len(partial)) * size


def _fill_cache(model: Path, folder: Path) -> None:
    """Write four different encodings under the four keys."""
    segmenter, cache = Segmenter.from_pretrained(model), EncodingCache(folder)
    for seed, key in enumerate(KEYS):
        array = np.random.default_rng(seed).integers(-200, 300, (40, 36, 30)).astype(np.int16)
        scan = segmenter.encode(Volume(array, np.diag([1.5, 1.5, 1.5, 1.0])))
        cache.keep(key, scan._encoding)


def _digest(encoding: object) -> int:
    return zlib.crc32(encoding.embedding.contiguous().numpy().data)


def _read_and_write(originals: Path, shared: Path, budget: int, rounds: int) -> int:
    """Read what is there, write what is not, and compare each hit with the original; returns the number of hits."""
    cpu = torch.device("cpu")
    encodings = [EncodingCache(originals).load(key, device=cpu) for key in KEYS]
    cache = EncodingCache(shared, budget_bytes=budget)
    rng, hits = np.random.default_rng(), 0
    print("ready", flush=True)
    for _ in range(rounds):
        n = int(rng.integers(len(KEYS)))
        found = cache.load(KEYS[n], device=cpu)
        if found is None:
            cache.keep(KEYS[n], encodings[n])
        else:
            hits += 1
            assert _digest(found) == _digest(encodings[n])
    return hits


class _FailOnWarning(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


if __name__ == "__main__":
    logging.getLogger("dsm").addHandler(_FailOnWarning())
    logging.raiseExceptions = True
    print(_read_and_write(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
