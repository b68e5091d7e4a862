"""The worker is ready before a user has chosen a prompt."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dsm.protocol.messages import Hello, Shutdown, encode_message

PACKAGE_PARENT = Path(__file__).parents[2] / "DSMSegment"
MOST = 1.5  # of `import torch`, in CPU seconds


@pytest.mark.slow
def test_ready_within_one_and_a_half_imports_of_torch(tmp_path):
    torch_s = min(_cpu_seconds(["-c", "import torch"]) for _ in range(2))
    messages = encode_message(Hello(folder=str(tmp_path), host="bench")) + encode_message(Shutdown())
    ready_s = min(_cpu_seconds(["-m", "dsm", "worker"], messages) for _ in range(2))
    print(f"import torch {torch_s:.2f} CPU s, worker from start to ready {ready_s:.2f} = {ready_s / torch_s:.2f}")
    assert ready_s <= MOST * torch_s


def _cpu_seconds(arguments: list[str], messages: bytes = b"") -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments],
        input=messages,
        env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
        timeout=250,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert not messages or b'"ready"' in done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
