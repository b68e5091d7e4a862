"""`dsm serve` as a process on this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

import dsm
from dsm.client.connection import Connection, check_connection
from dsm.client.http import RemoteClient
from dsm.core.options import SegmentOptions
from dsm.text.prompt import parse_prompts
from dsm.wire.messages import PromptItem, Result, Segment, SetVolume

AFFINE = ((3.0, 0.0, 0.0, -70.0), (0.0, 3.0, 0.0, -60.0), (0.0, 0.0, 3.0, 10.0), (0.0, 0.0, 0.0, 1.0))
QUERY = "&".join(["modality=CT", *(f"affine={value}" for row in AFFINE for value in row)])
TOKENS = {"anna": "token-of-anna-0123456789", "bert": "token-of-bert-0123456789"}
SMALL = (44, 40, 36)
# A second or two to encode: time to interrupt it.
LARGE = (150, 130, 100)


def phantom(shape: tuple[int, int, int] = SMALL, seed: int = 0) -> np.ndarray:
    """Soft tissue in air, HU, int16; another `seed` is another volume."""
    axes = [np.linspace(-1, 1, n) for n in shape]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    array = np.where(radius < 0.9, 40, -1000) + np.where(radius < 0.4, 80, 0)
    array = array + np.random.default_rng(seed).integers(-5, 6, shape)
    return np.asfortranarray(array.astype(np.int16))


class Server:
    """The process, with the tiny model; leaving the block ends it."""

    def __init__(
        self, folder: Path, *arguments: str, tokens: dict[str, str] | None = None, start_timeout_s: float = 200.0
    ) -> None:
        self.folder, self.arguments = folder, arguments
        folder.mkdir(parents=True, exist_ok=True)
        self.token_file = folder / "tokens"
        self.token_file.write_text("".join(f"{user}:{token}\n" for user, token in (tokens or TOKENS).items()))
        self.token_file.chmod(0o600)
        (folder / "voxels").mkdir(exist_ok=True)
        fixed = ["--port", "0", "--model", "dsm-tiny", "--tokens", str(self.token_file), "--debug"]
        command = [sys.executable, "-m", "dsm", "serve", *fixed, "--folder", str(folder / "voxels"), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(dsm.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.log: list[str] = []
        self._serving = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._serving.wait(start_timeout_s)
        line = next((line for line in self.log if line.startswith("Serving")), None)
        if line is None:
            self.__exit__(None, None, None)
            raise AssertionError("".join(self.log))
        self.address = line.split(" at ")[1].strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def wait_until_ready(self, timeout_s: float = 120) -> Self:
        end = time.monotonic() + timeout_s
        while not (found := check_connection(self.address, TOKENS["anna"])).ok:
            assert found.code in ("remote.starting", "remote.token", "remote.timeout"), found
            assert time.monotonic() < end, "".join(self.log)
            if found.code == "remote.token":
                break
            time.sleep(0.1)
        return self

    def connection(self, user: str = "anna") -> Connection:
        return Connection(self.address, TOKENS[user])

    def client(self, user: str = "anna", **options: Any) -> RemoteClient:
        return RemoteClient(self.address, TOKENS[user], **options)

    @property
    def worker_pids(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]

    @property
    def voxel_files(self) -> list[str]:
        return sorted(
            str(path) for path in (self.folder / "voxels").rglob("*") if path.is_file() and path.name != ".lock"
        )

    @property
    def cluster_log(self) -> str:
        """Log files of the Ray cluster of this machine that the process has started."""
        (gcs,) = (line for line in children_of(self.process.pid).values() if "gcs_server" in line)
        folder = Path(gcs.partition("--log_dir=")[2].split()[0])
        return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if line.startswith("Serving"):
                self._serving.set()
        self._serving.set()


def command_line(pid: int) -> str:
    """Command line of a process; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def children_of(pid: int) -> dict[int, str]:
    """Processes below a process, with their command lines."""
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                lines[int(entry.name)] = command_line(int(entry.name))
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue

    def is_below(one: int) -> bool:
        while one in parents and one != pid:
            one = parents[one]
        return one == pid

    return {one: line for one, line in lines.items() if one != pid and is_below(one)}


def send_volume(client: Any, voxels: np.ndarray | None = None, key: str = "volume") -> str:
    """Submit a volume and return the job."""
    name = client.put(phantom() if voxels is None else voxels)
    return client.submit(SetVolume(id=client.new_id(), key=key, array=name, affine=AFFINE))


def submit_prompts(client: Any, *prompts: str, key: str = "volume", maps: bool = False, **options: Any) -> str:
    """Submit prompts and return the job."""
    items = tuple(
        PromptItem(id=f"p{number}", prompt=prompt, file=client.new_file())
        for number, text in enumerate(prompts)
        for prompt in parse_prompts(text)
    )
    how = SegmentOptions(probabilities=maps, uncertainty=maps, **options)
    return client.submit(Segment(id=client.new_id(), volume_key=key, prompts=items, options=how))


def results(client: Any, job: str) -> list[Result]:
    """Wait for a job and return its results."""
    events: list[Any] = []
    client.wait(job, timeout_s=120, on_event=events.append)
    return [event for event in events if isinstance(event, Result)]


def npy(array: np.ndarray) -> bytes:
    """The bytes of a `.npy` file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def digest(data: bytes) -> str:
    """The header Content-Digest for a body."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def upload(connection: Connection, voxels: np.ndarray) -> str:
    """Send a volume without the client, and return its id."""
    data = npy(voxels)
    headers = {"Content-Digest": digest(data), "Content-Length": str(len(data))}
    return str(connection.call("POST", f"/volumes?{QUERY}", body=io.BytesIO(data), headers=headers)["volume"])
