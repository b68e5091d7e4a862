"""The worker as a real process: through the client, and as bare pipes for invalid input."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

import dsm
from dsm.client.process import WorkerClient
from dsm.core.options import SegmentOptions
from dsm.text.prompt import parse_prompts
from dsm.wire.arrays import write_array
from dsm.wire.messages import Load, Progress, PromptItem, Result, Segment, SetVolume

# One thread: the suite shares two cores, and tiny networks gain nothing from more.
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


def phantom(shape: tuple[int, int, int]) -> np.ndarray:
    """An ellipsoid of soft tissue with a denser one inside, in air; HU, int16, column-major as a viewer gives it."""
    axes = [np.linspace(-1, 1, n) for n in shape]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    array = np.where(radius < 0.9, 40, -1000) + np.where(radius < 0.4, 80, 0)
    return np.asfortranarray(array.astype(np.int16))


AFFINE = ((3.0, 0.0, 0.0, -70.0), (0.0, 3.0, 0.0, -60.0), (0.0, 0.0, 3.0, 10.0), (0.0, 0.0, 0.0, 1.0))
SMALL = (44, 40, 36)
# Seconds to encode on one core, so that there is time to interrupt it.
LARGE = (110, 90, 100)


class Host(WorkerClient):
    """A client with the steps that every test needs."""

    def load(self, model: Path | str, **options: Any) -> str:
        return self.submit(Load(id=self.new_id(), model=str(model), **options))

    def set_volume(self, voxels: np.ndarray, *, key: str = "volume", **options: Any) -> str:
        name = self.new_file(".npy")
        write_array(self.folder, name, voxels)
        fields = {"affine": AFFINE, "array": name, **options}
        return self.submit(SetVolume(id=self.new_id(), key=key, **fields))

    def segment(self, *prompts: str, key: str = "volume", maps: bool = False, **options: Any) -> str:
        items = tuple(
            PromptItem(id=f"p{number}", prompt=prompt, file=self.new_file())
            for number, text in enumerate(prompts)
            for prompt in parse_prompts(text)
        )
        how = SegmentOptions(probabilities=maps, uncertainty=maps, **options)
        return self.submit(Segment(id=self.new_id(), volume_key=key, prompts=items, options=how))

    def results(self, job: str, timeout_s: float = 200.0) -> list[Result]:
        events: list[Progress | Result] = []
        self.wait(job, timeout_s=timeout_s, on_event=events.append)
        return [event for event in events if isinstance(event, Result)]


class Pipes:
    """The bare process, for what a client would never send."""

    def __init__(self, **popen: Any) -> None:
        path = str(Path(dsm.__file__).parents[1])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dsm", "worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path},
            **popen,
        )
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()  # it reads what is left, up to the end of the pipe, which must not be closed under it
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, **fields: Any) -> None:
        self.write(json.dumps(fields).encode() + b"\n")

    def receive(self, timeout_s: float = 100.0) -> dict[str, Any]:
        line = self._lines.get(timeout=timeout_s)
        assert line, f"the worker ended with status {self.process.wait(5)}"
        message: dict[str, Any] = json.loads(line)
        return message

    def receive_end(self, job: str, timeout_s: float = 200.0) -> dict[str, Any]:
        while True:
            message = self.receive(timeout_s)
            if message.get("id") == job and message["type"] in ("done", "error"):
                return message

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(b"")


def files(host: WorkerClient) -> set[str]:
    """Names of the files in the host's folder, hidden ones too."""
    return {path.name for path in host.folder.iterdir()}


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process; wall time where the system does not tell.

    What a worker does in two seconds of processor time it does in two seconds on a machine that is not shared.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slowdown() -> float:
    """Return how much longer things take now than on a machine with nothing else to do; at least 1."""
    wall, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.05:
        pass
    return max(1.0, (time.monotonic() - wall) / 0.05)


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def is_running(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
