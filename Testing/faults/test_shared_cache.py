"""Several processes, as of several hosts, on one cache of encodings: nothing is ever read half."""

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
ROOM = 2.5  # encodings; so that each process evicts what the others are about to read


def test_every_hit_is_whole_while_others_write_evict_and_die(tiny_model, tmp_path):
    _encode(tiny_model, tmp_path / "made")
    size = (tmp_path / "made" / f"{KEYS[0]}.encoding").stat().st_size
    command = [sys.executable, __file__, str(tmp_path / "made"), str(tmp_path / "shared"), str(int(ROOM * size))]
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
    begun = [path for path in sizes if path.name.startswith(PART_PREFIX)]
    assert len(begun) <= 1  # by the killed process; it goes after an hour
    assert sum(sizes.values()) <= (ROOM + len(begun)) * size


def _encode(model: Path, folder: Path) -> None:
    """Four encodings that differ, under the four keys."""
    segmenter, cache = Segmenter.from_pretrained(model), EncodingCache(folder)
    for seed, key in enumerate(KEYS):
        array = np.random.default_rng(seed).integers(-200, 300, (40, 36, 30)).astype(np.int16)
        scan = segmenter.encode(Volume(array, np.diag([1.5, 1.5, 1.5, 1.0])))
        cache.keep(key, scan._encoding)


def _digest(encoding: object) -> int:
    return zlib.crc32(encoding.embedding.contiguous().numpy().data)


def _use(made: Path, shared: Path, budget: int, rounds: int) -> int:
    """Read what is there, write what is not, and compare each hit with what was made."""
    cpu = torch.device("cpu")
    encodings = [EncodingCache(made).load(key, device=cpu) for key in KEYS]
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


class _NoWarnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


if __name__ == "__main__":
    logging.getLogger("dsm").addHandler(_NoWarnings())
    logging.raiseExceptions = True
    print(_use(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
