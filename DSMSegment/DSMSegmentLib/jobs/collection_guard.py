"""Garbage collection on the main thread only, while helper threads live.

Python's collector runs in whichever thread allocates next. What it finds there may hold objects of Qt or VTK, e.g. the
widgets of a closed panel, whose destructors must run in the main thread: elsewhere they crash the application. The
collector cannot be kept off one thread, so automatic collection pauses (`gc.set_threshold(0)`, which leaves
`gc.isenabled` to the user), and a timer on the main thread collects by the thresholds that the user has.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

from DSMSegmentLib.application import qt

_INTERVAL_MS = 100
# The guard is an attribute of the main thread's object: after a reload of this file, threads of before may still live.
_ATTRIBUTE = "_dsmCollectionGuard"


class CollectionGuard:
    """Starter of helper threads that pauses the collector; without a Qt application, it only starts them.

    What a thread was given to call is let go on the main thread, too, once the thread has ended: with it go the nodes
    and widgets that it refers to. Guards do not nest: make no second one, see `collectionGuard`.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._functions: dict[threading.Thread, Callable[[], None]] = {}
        self._thresholds: tuple[int, int, int] | None = None
        self._numOld: int | None = None
        self._timer: Any = None

    @property
    def isHolding(self) -> bool:
        """True while automatic collection is paused."""
        return self._thresholds is not None

    def start(self, function: Callable[[], None], name: str) -> threading.Thread:
        """Call `function` on a new daemon thread.

        Callable on any thread. The first helper thread must be started on the main thread: only there can the timer be.
        """
        thread = threading.Thread(target=function, name=name, daemon=True)
        with self._lock:
            if self.isHolding or (qt is not None and _isMainThread()):
                self._hold()
                self._functions[thread] = function
            try:
                thread.start()
            except BaseException:
                self._functions.pop(thread, None)
                raise
        return thread

    def tend(self) -> None:
        """Collect what is due, and end the pause once no helper thread lives.

        A timer calls it on the main thread; call it in loops that keep Qt's timers from running.
        """
        if not self.isHolding or not _isMainThread():
            return
        with self._lock:
            ended = [self._functions.pop(thread) for thread in list(self._functions) if not thread.is_alive()]
            if gc.get_threshold()[0]:  # somebody has set others meanwhile
                self._pause()
            if not self._functions:
                self._release()
        del ended  # not under the lock: objects that die run code of their own
        self._collect()

    def _hold(self) -> None:
        if self.isHolding:
            return
        self._pause()
        self._numOld = None
        if self._timer is None:
            self._timer = qt.QTimer()
            self._timer.setInterval(_INTERVAL_MS)
            self._timer.timeout.connect(self.tend)
        self._timer.start()

    def _pause(self) -> None:
        self._thresholds = gc.get_threshold()
        gc.set_threshold(0, *self._thresholds[1:])

    def _release(self) -> None:
        if self._thresholds is not None:
            gc.set_threshold(*self._thresholds)
        self._thresholds = None
        self._timer.stop()

    def _collect(self) -> None:
        thresholds = self._thresholds
        if thresholds is None or not gc.isenabled():
            return
        generation = self._dueGeneration(gc.get_count(), thresholds)
        if generation is not None:
            gc.collect(generation)
        if generation == len(thresholds) - 1:
            self._numOld = _countOld()

    def _dueGeneration(self, counts: tuple[int, int, int], thresholds: tuple[int, int, int]) -> int | None:
        """Return the oldest generation that Python would collect now, by its own rules; None for none."""
        if not thresholds[0] or counts[0] <= thresholds[0]:
            return None
        if counts[1] <= thresholds[1]:
            return 0
        if self._numOld is None:
            self._numOld = _countOld()
        # Going through all objects takes long: Python does so when a quarter has been added to those that stay.
        return 2 if counts[2] > thresholds[2] and 4 * _countOld() > 5 * self._numOld else 1


def collectionGuard() -> CollectionGuard:
    """Return the one of this process."""
    main = threading.main_thread()
    guard = getattr(main, _ATTRIBUTE, None)
    if guard is None or not (guard.isHolding or isinstance(guard, CollectionGuard)):
        guard = CollectionGuard()
        setattr(main, _ATTRIBUTE, guard)
    return guard


def startThread(function: Callable[[], None], name: str) -> threading.Thread:
    """Call `function` on a new daemon thread, without garbage collection on it."""
    return collectionGuard().start(function, name)


def _isMainThread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _countOld() -> int:
    return len(gc.get_objects(generation=2))
