"""Start-up time of the worker, relative to importing torch."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dsm.wire.messages import Hello, Shutdown, encode_message

PACKAGE_PARENT = Path(__file__).parents[2] / "DSMSegment"
MOST = 1.5  # of `import torch`, in CPU seconds


@pytest.mark.bench
def test_start_takes_at_most_1_5_imports_of_torch(tmp_path):
    torch_s = min(_cpu_seconds(["-c", "import torch"]) for _ in range(2))
    hello = encode_message(Hello(folder=str(tmp_path), host="bench"))
    ready_s = min(_cpu_seconds(["-m", "dsm", "worker"], hello) for _ in range(2))
    print(f"import torch {torch_s:.2f} CPU s, worker from start to ready {ready_s:.2f} = {ready_s / torch_s:.2f}")
    assert ready_s <= MOST * torch_s


def _cpu_seconds(arguments: list[str], hello: bytes = b"") -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if hello:
            process.stdin.write(hello)
            process.stdin.flush()
            assert any(b'"ready"' in line for line in iter(process.stdout.readline, b""))
            process.stdin.write(encode_message(Shutdown()))
        process.stdin.close()
        assert process.wait(timeout=250) == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
