"""Start of a worker, which takes seconds: waiting for it can be cancelled, and it can be closed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from dsm.client.cancel_token import CancelToken
from dsm.client.jobs import StartThread, start_thread
from dsm.client.process import WorkerClient
from dsm.errors import DSMError, WorkerError

_LOOK_S = 0.05
# Ending a process that is still starting takes milliseconds; a machine that is worse than that is not waited for.
_CLOSE_S = 2.0


class WorkerStart:
    """Worker that starts on its own thread, so that cancelling a run does not affect the next one.

    Args:
        start: Makes the client; is given what tells it to give up.
        start_thread: See `JobClient`.
    """

    def __init__(
        self, start: Callable[[threading.Event], WorkerClient], *, start_thread: StartThread = start_thread
    ) -> None:
        self._give_up = threading.Event()
        self._over = threading.Event()
        self._error: DSMError | None = None
        self.client: WorkerClient | None = None
        """The worker; None until it is ready, and where it could not be started."""
        start_thread(partial(self._run, start), "dsm-worker-start")

    @property
    def is_usable(self) -> bool:
        """True if there is, or will be, a worker that takes requests."""
        return not self._over.is_set() or (self.client is not None and self.client.alive)

    def wait(self, cancel: CancelToken | None = None) -> WorkerClient:
        """Return the worker once it is ready.

        Args:
            cancel: Ends the waiting, and not the start; None for nothing.

        Raises:
            JobCancelled: Soon after `cancel` was requested.
            WorkerError: If it could not be started, or `close` was called meanwhile.
        """
        while not self._over.wait(_LOOK_S):
            if cancel is not None:
                cancel.check()
        if self.client is None:
            raise self._error or WorkerError("The worker was closed.", code="worker.closed")
        return self.client

    def close(self) -> None:
        """End the worker, also while it starts."""
        self._give_up.set()
        self._over.wait(_CLOSE_S)
        if self.client is not None:
            self.client.close()

    def _run(self, start: Callable[[threading.Event], WorkerClient]) -> None:
        try:
            self.client = start(self._give_up)
        except DSMError as error:
            self._error = error
        except Exception as error:  # a defect, but whoever waits must hear of it
            self._error = WorkerError(f"The worker cannot be started ({type(error).__name__}: {error}).")
            self._error.__cause__ = error
        self._over.set()
        if self.client is not None and self._give_up.is_set():  # it was ready in the moment of the close
            self.client.close()
