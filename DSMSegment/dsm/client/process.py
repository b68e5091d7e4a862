"""Client of the worker process: start, requests, events, and cleanup."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from dsm.client.jobs import JobClient, StartThread, error_of, start_thread
from dsm.errors import DSMError, ProtocolError, WorkerError
from dsm.wire.arrays import resolve_in_folder, write_array
from dsm.wire.lines import LineBuffer
from dsm.wire.messages import (
    Cancel,
    Error,
    Hello,
    HostMessage,
    Ready,
    Request,
    Shutdown,
    WorkerMessage,
    decode_event,
    encode_message,
)

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 2**16
_LOG_LINES = 200
_EXIT_GRACE_S = 2.0
_LOOK_S = 0.05
# By its path, and not `-m dsm`: a launcher such as PythonSlicer puts its own folders before any PYTHONPATH that it is
# given, and another `dsm` in one of them would be run.
_PROGRAM = Path(__file__).resolve().parents[1] / "__main__.py"
_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
    "PYTHONIOENCODING": "utf-8",
    "PYTHONSAFEPATH": "1",  # else the folder of the program, whose modules have common names, would come first
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
}


class WorkerClient(JobClient):
    """Worker process and the folder that it shares with this host.

    Use it as a context manager: leaving it ends the process and removes the folder, whatever happened before.
    Events arrive on a thread and are kept; take those of one job with `wait` (blocking), or all with `poll` (from a
    timer). A client whose worker died stays dead: make a new one.

    Args:
        python: Interpreter that has the engine's packages; in Slicer the path of `PythonSlicer`.
        command: The whole command instead of `python .../dsm/__main__.py worker`.
        environment: Variables to set or replace for the worker; this process's own are never touched.
        folder_parent: Parent of the shared folder; None for the system's temporary folder.
        host: Name and version of the host, for the worker's log.
        start_timeout_s: Timeout for the worker's first message, in s: importing PyTorch takes long on a busy computer.
        give_up: Set it in another thread to end a worker that is not ready yet; None for nothing.
        start_thread: See `JobClient`.

    Raises:
        WorkerError: If the process cannot be started or does not become ready; code `"worker.closed"` after `give_up`.

    Example:
        with WorkerClient() as client:
            client.wait(client.submit(Load(id=client.new_id(), model="dsm-small")))
    """

    def __init__(
        self,
        *,
        python: str = sys.executable,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        folder_parent: Path | None = None,
        host: str = "",
        start_timeout_s: float = 180.0,
        give_up: threading.Event | None = None,
        start_thread: StartThread = start_thread,
    ) -> None:
        super().__init__(start_thread)
        self._ready: Ready | None = None
        self._refusal: Error | None = None
        self._ended = False
        self._closed = False
        self._write_lock = threading.Lock()
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        # resolve(): the worker compares real paths, and macOS's temporary folder is a link.
        self.folder = Path(tempfile.mkdtemp(prefix="dsm-worker-", dir=folder_parent)).resolve()
        try:
            self._process = _start(command or [python, str(_PROGRAM), "worker"], environment or {})
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        atexit.register(self.close)  # voxels of a patient do not stay behind when a script forgets to close
        self._threads: list[threading.Thread] = []
        try:
            self._threads.append(start_thread(self._read_events, "dsm-worker-events"))
            self._threads.append(start_thread(self._read_log, "dsm-worker-log"))
            self._send(Hello(folder=str(self.folder), host=host))
            self.ready = self._await_ready(start_timeout_s, give_up or threading.Event())
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the worker's interpreter."""
        return self.ready.pid

    @property
    def alive(self) -> bool:
        """True while the worker can take requests."""
        return not self._ended and not self._closed

    @property
    def log(self) -> str:
        """Last lines of the worker's log (stderr)."""
        return "\n".join(list(self._log))

    def submit(self, request: Request) -> str:
        """Send a request and return its id at once; jobs run one after another.

        Raises:
            WorkerError: If the worker is dead.
            ProtocolError: If the id was used before or the message is too long.
        """
        encode_message(request)  # raises before the job counts as open
        with self._changed:
            self._refuse_used(request.id)
            if not self.alive:
                raise self._death()
            self._open_jobs.add(request.id)
        try:
            self._send(request)
        except WorkerError:
            with self._changed:
                self._open_jobs.discard(request.id)
            raise
        return request.id

    def put(self, array: np.ndarray) -> str:
        """Write the array into the shared folder.

        Raises:
            OSError: If it cannot be written.
        """
        name = self.new_file(".npy")
        write_array(self.folder, name, array)
        return name

    def drop(self, name: str) -> None:
        """Remove the array from the shared folder."""
        with contextlib.suppress(OSError):  # Windows: a worker that hangs may still read it; it goes with the folder
            (self.folder / name).unlink(missing_ok=True)

    def take(self, name: str) -> bytes:
        """Read a file that the worker wrote, and remove it.

        Raises:
            OSError: If it cannot be read.
        """
        path = resolve_in_folder(self.folder, name)
        try:
            return path.read_bytes()
        finally:
            path.unlink(missing_ok=True)

    def cancel(self, job_id: str, *, grace_s: float = 2.0) -> None:
        """Ask the worker to stop a job, and kill it when the job still runs after `grace_s`; returns at once.

        The job ends with `Error(code="cancelled")` either way (or with `Done`, when it was just finishing).
        """
        with self._changed:
            if job_id not in self._open_jobs:
                return
            self._cancelled.add(job_id)
        self._start_thread(partial(self._kill_if_open, job_id, grace_s), "dsm-worker-grace")
        with contextlib.suppress(WorkerError):  # dying already: that ends the job too
            self._send(Cancel(id=job_id))

    def kill(self) -> None:
        """Kill the worker and its children."""
        process = self._process
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                # By the reported id: a launcher such as PythonSlicer is not the interpreter itself.
                pid = self._ready.pid if self._ready else process.pid
                taskkill = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
                subprocess.run([str(taskkill), "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
            elif process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # a group of its own: see start_new_session
            elif self._ready is not None and not self._ended:
                os.kill(self._ready.pid, signal.SIGKILL)  # the launcher has gone, its interpreter has not
        if process.poll() is None:
            process.kill()

    def close(self) -> None:
        """End the worker (politely when it is idle, else at once) and remove the folder. Safe to call twice."""
        with self._changed:
            if self._closed:
                return
            idle = not self._open_jobs
            self._closed = True
            self._changed.notify_all()
        atexit.unregister(self.close)
        try:
            self._stop(politely=idle)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _stop(self, *, politely: bool) -> None:
        if politely:
            with contextlib.suppress(DSMError):
                self._send(Shutdown())
        with contextlib.suppress(OSError):
            _pipe(self._process.stdin).close()  # the worker exits on this, even in the middle of a job
        try:
            self._process.wait(_EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        for thread, stream in zip(self._threads, (self._process.stdout, self._process.stderr), strict=False):
            thread.join(_EXIT_GRACE_S)
            if not thread.is_alive():  # else a grandchild holds the pipe: closing under a reader is not safe
                _pipe(stream).close()

    def _send(self, message: HostMessage) -> None:
        line = memoryview(encode_message(message))
        stdin = _pipe(self._process.stdin)
        try:
            with self._write_lock:
                while line:  # an unbuffered pipe may take a part
                    line = line[stdin.write(line) :]
        except (OSError, ValueError) as error:  # ValueError: closed by close()
            # Not declared dead here: the reader first has to take what the worker still said.
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._closed, _EXIT_GRACE_S)
                raise self._death() from error

    def _await_ready(self, timeout_s: float, give_up: threading.Event) -> Ready:
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not (self._ready or self._refusal or self._ended or time.monotonic() > deadline_s):
                if give_up.is_set():
                    self.kill()  # an interpreter that is still starting reads no request to leave
                    raise WorkerError("The worker was closed while it started.", code="worker.closed")
                self._changed.wait(_LOOK_S)
            if self._ready is not None:
                return self._ready
            if self._refusal is not None:
                raise error_of(self._refusal)
            if self._ended:
                raise self._death()
        raise WorkerError(f"The worker was not ready after {timeout_s} s.", code="worker.timeout", details=self.log)

    def _read_events(self) -> None:
        try:
            for line in _lines_of(_pipe(self._process.stdout)):
                try:
                    event = decode_event(line)
                except ProtocolError as error:
                    logger.warning("The worker wrote a line that is no message: %s", error)
                else:
                    self._take(event)
        finally:
            self._process_ended()

    def _read_log(self) -> None:
        for line in _lines_of(_pipe(self._process.stderr)):
            text = line.decode("utf-8", errors="replace")
            self._log.append(text)
            logger.debug("worker: %s", text)

    def _take(self, event: WorkerMessage) -> None:
        with self._changed:
            if isinstance(event, Ready):
                self._ready = event
            elif event.id in self._open_jobs:
                self._note(event)
            elif isinstance(event, Error):
                if self._ready is None:
                    self._refusal = event
                logger.warning("The worker refused a message: %s (%s)", event.text, event.code)
            self._changed.notify_all()

    def _process_ended(self) -> None:
        """Fail every open job after the worker has exited, so that no caller waits for ever."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_GRACE_S)  # for the exit status in the message
        with self._changed:
            self._ended = True
            death = self._death()
            for job_id in sorted(self._open_jobs):
                if job_id in self._cancelled:
                    self._note(Error(id=job_id, code="cancelled", text="The job was cancelled."))
                else:
                    self._note(
                        Error(id=job_id, code=death.code, text=str(death), hint=death.hint, details=death.details)
                    )
            self._changed.notify_all()

    def _kill_if_open(self, job_id: str, grace_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: job_id not in self._open_jobs or not self.alive, grace_s)
        if job_id in self._open_jobs and self.alive:
            logger.warning("The worker did not stop job %s in time and is killed.", job_id)
            self.kill()

    def _death(self) -> WorkerError:
        if self._closed:
            return WorkerError("The worker was closed.", code="worker.closed")
        status = self._process.poll()
        how = "its output was closed" if status is None else f"exit status {status}"
        return WorkerError(
            f"The worker process ended unexpectedly ({how}).",
            code="worker.died",
            hint="Start it again; when memory ran out, close other programs or take a smaller volume.",
            details=self.log,
        )


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    variables = {**os.environ, **_ENVIRONMENT, **environment}
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=variables,
            start_new_session=sys.platform != "win32",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise WorkerError(
            f"The worker cannot be started with '{command[0]}' ({error.strerror}).",
            code="worker.start",
            hint="Check the path of the Python interpreter.",
        ) from error


def _lines_of(stream: IO[bytes]) -> Iterator[bytes]:
    lines = LineBuffer()
    with contextlib.suppress(OSError):
        while chunk := stream.read(_CHUNK_BYTES):
            yield from lines.feed(chunk)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101  (all three are pipes since Popen: this is for the type checker)
    return stream
