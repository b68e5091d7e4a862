"""Steps of undo and redo: which are kept, and in which order."""

from __future__ import annotations

from DSMSegmentWeb.history import History, UndoStep


class Counter:
    """Scene that is a number."""

    def __init__(self) -> None:
        self.value = 0
        self.history: History[int] = History(lambda: self.value, lambda *both: both, self._restore)

    def add(self, amount: int, *, is_small: bool = False) -> None:
        self.value += amount
        self.history.note(UndoStep(lambda: self._take_back(amount), is_small=is_small))

    def _take_back(self, amount: int) -> bool:
        self.value -= amount
        return True

    def _restore(self, _now: int, then: int) -> None:
        self.value = then


def test_many_small_steps_leave_the_larger_ones_before_them() -> None:
    scene = Counter()
    for _ in range(30):
        scene.add(1000)
    for _ in range(60):
        scene.add(1, is_small=True)
    count = 0
    while scene.history.undo() is not None:
        count += 1
    assert (count, scene.value) == (60 + 20, 10_000), "of those that keep a mask, the last 20 can be taken back"


def test_redo_gives_back_in_order() -> None:
    scene = Counter()
    for amount in (1, 10, 100):
        scene.add(amount, is_small=amount == 10)
    for expected in (11, 1, 0):
        scene.history.undo()
        assert scene.value == expected
    for expected in (1, 11, 111):
        scene.history.redo()
        assert scene.value == expected
    assert not scene.history.can_redo
    for expected in (11, 1, 0):
        scene.history.undo()
        assert scene.value == expected
