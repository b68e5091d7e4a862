"""Worker process: requests on standard input, run one by one, and events on standard output."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import platform
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from dsm._version import __version__
from dsm.errors import DSMError, InputError, ProtocolError
from dsm.wire.lines import LineBuffer
from dsm.wire.messages import (
    Cancel,
    Error,
    Hello,
    Ready,
    Request,
    Shutdown,
    WorkerMessage,
    decode_request,
    encode_message,
    job_id_of,
)
from dsm.worker.devices import find_devices, torch_version
from dsm.worker.error_mapping import error_message
from dsm.worker.session import Session

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 2**16
_MAX_WAITING = 1000


def main() -> int:
    """Serve one host until `shutdown` (returns 0) or the end of the pipe (exits at once)."""
    requests, events = _claim_pipes()
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    # Ctrl+C in a terminal reaches the host too, and the host decides: it cancels or closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outbox = Outbox(events)
    inbox = Inbox(requests, outbox.send)
    threading.Thread(target=inbox.read_until_eof, name="dsm-requests", daemon=True).start()
    serve(inbox, outbox.send)
    return 0


def serve(inbox: Inbox, send: Callable[[WorkerMessage], None]) -> None:
    """Run the host's messages in order until `Shutdown`; a failed job ends with an `Error`."""
    session: Session | None = None
    while not isinstance(message := inbox.next(), Shutdown):
        job_id = getattr(message, "id", "")
        try:
            if isinstance(message, Hello):
                session = Session(_checked_folder(message.folder), send)
                send(_ready())
                logger.info("Serving %s in %s.", message.host or "a host", message.folder)
            elif session is None:
                raise ProtocolError("The first message must be 'hello'.")
            else:
                send(session.run(message, inbox.is_cancelled))
        except Exception as error:  # the host is told, and the next job is served
            failure = error_message(error, job_id)
            log = logger.exception if failure.code == "internal" else logger.info
            log("Job '%s' ended with %s: %s", job_id, failure.code, failure.text)
            send(failure)
        finally:
            inbox.finish()


class Outbox:
    """Writer of messages, whole and one after another, from any thread.

    Args:
        descriptor: File descriptor of the pipe to the host.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: WorkerMessage) -> None:
        """Write a message; ends the process when the host has gone."""
        line = memoryview(encode_message(message))
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError:
                _exit_at_once()


class Inbox:
    """Queue of messages. A thread fills it, so that `cancel` and the end of the pipe are seen during a job.

    Args:
        descriptor: File descriptor of the pipe from the host.
        send: Sends a message to the host: the error for a line that is no request, or a job that does not run.
    """

    def __init__(self, descriptor: int, send: Callable[[WorkerMessage], None]) -> None:
        self._descriptor = descriptor
        self._send = send
        self._changed = threading.Condition()
        self._waiting: deque[Hello | Request | Shutdown] = deque()
        self._running_id: str | None = None
        self._cancel = threading.Event()

    def read_until_eof(self) -> NoReturn:
        """Take messages until the host closes the pipe or dies; then end the process, even in the middle of a job."""
        lines = LineBuffer()
        try:
            while chunk := os.read(self._descriptor, _CHUNK_BYTES):
                for line in lines.feed(chunk):
                    self._receive(line)
        finally:
            _exit_at_once()

    def next(self) -> Hello | Request | Shutdown:
        """Wait for a message and mark its job as running."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            message = self._waiting.popleft()
            self._running_id = getattr(message, "id", None)
            self._cancel.clear()
            return message

    def is_cancelled(self) -> bool:
        """Return whether the client cancelled the running job."""
        return self._cancel.is_set()

    def finish(self) -> None:
        """Mark that no job is running."""
        with self._changed:
            self._running_id = None

    def _receive(self, line: bytes) -> None:
        try:
            message = decode_request(line)
        except DSMError as error:  # of the message, or of a value in it
            self._send(error_message(error, job_id_of(line)))
            return
        if isinstance(message, Cancel):
            self._cancel_job(message.id)
            return
        with self._changed:
            if len(self._waiting) < _MAX_WAITING or isinstance(message, Shutdown):
                self._waiting.append(message)
                self._changed.notify()
                return
        self._send(Error(id=getattr(message, "id", ""), code="busy", text=f"{_MAX_WAITING} jobs are waiting already."))

    def _cancel_job(self, job_id: str) -> None:
        """Flag the running job, or drop it from the queue; a job that has just ended is ignored."""
        with self._changed:
            if job_id == self._running_id:
                self._cancel.set()
                return
            waiting = [message for message in self._waiting if getattr(message, "id", None) == job_id]
            for message in waiting:
                self._waiting.remove(message)
        for _ in waiting:
            self._send(Error(id=job_id, code="cancelled", text="The job was cancelled before it began."))


def _claim_pipes() -> tuple[int, int]:
    """Reserve standard input and output for the protocol.

    Whatever a library prints to descriptor 1 or `sys.stdout` goes to the log from now on, and nothing that reads
    descriptor 0 can take a request away. Child processes inherit neither pipe.

    Returns:
        The descriptors of requests and events.
    """
    requests, events = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415  (only on Windows)

        for descriptor in (requests, events):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return requests, events


def _checked_folder(name: str) -> Path:
    folder = Path(name)
    try:
        usable = folder.is_absolute() and folder.is_dir()
    except (OSError, ValueError):  # a name with a NUL, or too long
        usable = False
    if not usable:
        raise InputError("The host's folder is not an existing folder with an absolute path.", code="protocol.path")
    return folder


def _ready() -> Ready:
    return Ready(
        pid=os.getpid(),
        worker=__version__,
        python=platform.python_version(),
        torch=torch_version(),
        devices=find_devices(),
    )


def _exit_at_once() -> NoReturn:
    """Exit without waiting for a running job, which is in native code."""
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
