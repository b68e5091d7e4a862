"""A function call on a background thread, polled from a timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from dsm.errors import DSMError
from DSMSegmentLib.jobs.collection_guard import collectionGuard, startThread

_Result = TypeVar("_Result")
# As in `SegmentationJob.poll`: lets the threads run while the application is in its own event loop.
_WAIT_S = 0.01


class BackgroundCall(Generic[_Result]):
    """Call of `function` on a helper thread, which must touch neither the scene nor Qt.

    Args:
        function: Function to call.
        onDone: Called by `poll` with the result, or with None and the error.
    """

    def __init__(
        self, function: Callable[[], _Result], onDone: Callable[[_Result | None, DSMError | None], None]
    ) -> None:
        self._function = function
        self._onDone = onDone
        self._result: _Result | None = None
        self._error: DSMError | None = None
        self._thread = startThread(self._run, "dsm-background")

    def poll(self, waitS: float = _WAIT_S) -> bool:
        """Wait a little, and return whether the call is over; `onDone` is called the first time that it is."""
        collectionGuard().tend()
        if self._thread.is_alive():
            self._thread.join(waitS)
        if self._thread.is_alive():
            return False
        self._onDone(self._result, self._error)
        return True

    def _run(self) -> None:
        try:
            self._result = self._function()
        except DSMError as error:
            self._error = error
        except Exception as error:  # a defect, but the panel must come back to life and say so
            self._error = DSMError(f"This failed ({type(error).__name__}: {error}).", hint="Please report this.")
