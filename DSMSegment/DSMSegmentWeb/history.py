"""Steps of undo and redo of the page, the newest last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

# Most steps keep a mask, and all that were undone do.
_MAX_STEPS, _MAX_MASKS = 100, 20

State = TypeVar("State")


@dataclass(frozen=True, slots=True, eq=False)
class UndoStep:
    """A change that can be taken back.

    Args:
        undo: Takes it back; returns whether there was something to take back (it may have been forgotten meanwhile).
        kind: What was done to what, where that matters to the next change; None where it does not.
        is_kept: Returns whether it can still be taken back.
        is_small: Whether it keeps no mask.
    """

    undo: Callable[[], bool]
    kind: Hashable = None
    is_kept: Callable[[], bool] = lambda: True
    is_small: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Undone(Generic[State]):
    """A step that was taken back, with what that changed, before and after it."""

    step: UndoStep
    before: State
    after: State


class History(Generic[State]):
    """Undo and redo.

    A step knows how to take itself back. What redo needs, the scene just before, is copied when that happens: work that
    is never taken back costs nothing.

    Args:
        capture: Returns a copy of the scene.
        difference: Reduces two copies to what they differ in: all that is kept.
        restore: Changes the scene from what it was in one copy to what it was in another: only what differs.
    """

    def __init__(
        self,
        capture: Callable[[], State],
        difference: Callable[[State, State], tuple[State, State]],
        restore: Callable[[State, State], None],
    ) -> None:
        self._capture, self._difference, self._restore = capture, difference, restore
        self._undo: deque[UndoStep] = deque(maxlen=_MAX_STEPS)
        self._redo: deque[_Undone[State]] = deque(maxlen=_MAX_MASKS)

    @property
    def last(self) -> UndoStep | None:
        """Newest step of undo; None for none."""
        return self._undo[-1] if self._undo else None

    @property
    def can_redo(self) -> bool:
        """True if something was undone, and nothing done since."""
        return bool(self._redo)

    def note(self, step: UndoStep) -> None:
        """Record a step; what was undone before it cannot be redone any more."""
        self._keep(step)
        self._redo.clear()

    def undo(self) -> tuple[State, State] | None:
        """Take the newest step back; returns what changed, before and after, None if there was no step."""
        while self._undo:
            step, before = self._undo.pop(), self._capture()
            if step.undo():
                before, after = self._difference(before, self._capture())
                self._redo.append(_Undone(step, before, after))
                return before, after
        return None

    def redo(self) -> tuple[State, State] | None:
        """Do again what was undone last; returns what changed, before and after, None if nothing was undone."""
        if not self._redo:
            return None
        undone = self._redo.pop()
        self._restore(undone.after, undone.before)

        def take_back() -> bool:
            self._restore(undone.before, undone.after)
            return True

        self._keep(UndoStep(take_back, undone.step.kind))
        return undone.after, undone.before

    def forget_redo(self) -> None:
        """Forget what was undone, after a change that is no step."""
        self._redo.clear()

    def clear(self) -> None:
        """Forget all steps."""
        self._undo.clear()
        self._redo.clear()

    def _keep(self, step: UndoStep) -> None:
        self._undo.append(step)
        while sum(not one.is_small for one in self._undo) > _MAX_MASKS:
            self._undo.popleft()
