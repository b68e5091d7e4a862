"""The collector of garbage runs on the main thread only, while a helper thread of ours lives."""

from __future__ import annotations

import gc
import importlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from acting_backend import ActingBackend, wait_for_cancel
from patience import PATIENCE_S
from phantoms import mask_of, plain_affine, volume_node

import DSMSegmentLib
from dsm.client.cancel_token import CancelToken
from dsm.client.process import WorkerClient
from DSMSegmentLib import JobState, SegmentationJob
from DSMSegmentLib.jobs.collection_guard import collectionGuard, startThread

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
MASKS = {"liver": mask_of(seed=1)}


class Cycle:
    """Garbage that only the collector finds, as a closed panel is; notes the thread where it dies."""

    died_in: ClassVar[set[threading.Thread]] = set()
    num_alive = most_alive = 0

    def __init__(self) -> None:
        self.self = self
        Cycle.num_alive += 1
        Cycle.most_alive = max(Cycle.most_alive, Cycle.num_alive)

    def __del__(self) -> None:
        Cycle.died_in.add(threading.current_thread())
        Cycle.num_alive -= 1


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[tuple[int, int, int]]:
    wait_until(lambda: not collectionGuard().isHolding)  # threads of other tests
    gc.collect()
    before = gc.get_threshold()
    gc.set_threshold(100, 5, 5)
    Cycle.died_in, Cycle.num_alive, Cycle.most_alive = set(), 0, 0
    yield gc.get_threshold()
    gc.enable()
    wait_until(lambda: not collectionGuard().isHolding)
    gc.set_threshold(*before)


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        panel_host._qt_application.processEvents()
        time.sleep(0.002)


def litter(num: int = 2000) -> None:
    for _ in range(num):
        Cycle()


def job_that(act: Callable[[CancelToken], None]) -> SegmentationJob:
    return SegmentationJob(volume_node(plain_affine()), "liver", ActingBackend(MASKS, 0, act))


def test_objects_die_on_the_main_thread_while_a_job_runs() -> None:
    panels = [Cycle() for _ in range(50)]
    panels.clear()
    job = job_that(lambda _: litter())
    assert job.wait() is JobState.FINISHED
    gc.collect()
    assert Cycle.died_in == {threading.main_thread()}


def test_timer_collects_while_nobody_polls() -> None:
    """The threads that read the pipes of a warm worker live for hours, without any job."""
    leave = threading.Event()

    def live() -> None:
        litter()
        leave.wait(20)

    thread = startThread(live, "warm")
    wait_until(lambda: Cycle.num_alive < 200)
    assert Cycle.died_in == {threading.main_thread()}
    leave.set()
    thread.join()


def test_memory_does_not_grow_in_a_long_run() -> None:
    keep: list[list[Any]] = []

    def work(_: CancelToken) -> None:
        for number in range(200):
            litter(200)
            keep.append([[] for _ in range(50)])  # what stays makes generations old
            if number % 10 == 0:
                time.sleep(0.01)

    job = job_that(work)
    job.start()
    wait_until(job.poll)
    assert Cycle.most_alive < 20_000
    assert Cycle.died_in == {threading.main_thread()}


def test_what_grew_old_is_collected_too() -> None:
    leave = threading.Event()
    thread = startThread(lambda: bool(leave.wait(20)), "warm")
    old = [Cycle() for _ in range(5000)]
    gc.collect()
    old.clear()  # in the oldest generation: no young collection finds it
    kept = []

    def is_found() -> bool:
        kept.append([[] for _ in range(3000)])
        return Cycle.num_alive == 0

    wait_until(is_found)
    leave.set()
    thread.join()


def test_what_a_thread_was_given_dies_on_the_main_thread() -> None:
    """A job whose last reference is that of its own thread would take nodes and widgets down there."""
    ended = threading.Event()

    class Owner:
        def __init__(self) -> None:
            self.content = Cycle()
            self.content.self = None

        def run(self) -> None:
            time.sleep(0.05)
            ended.set()

    startThread(Owner().run, "owner")
    wait_until(lambda: ended.is_set() and Cycle.num_alive == 0)
    assert Cycle.died_in == {threading.main_thread()}


def test_setting_of_the_user_is_restored(thresholds: tuple[int, int, int]) -> None:
    first, second = threading.Event(), threading.Event()
    threads = [startThread(lambda event=event: bool(event.wait(20)), "nested") for event in (first, second)]
    assert (collectionGuard().isHolding, gc.isenabled(), gc.get_threshold()[0]) == (True, True, 0)
    first.set()
    threads[0].join()
    collectionGuard().tend()
    assert gc.get_threshold()[0] == 0  # another thread still lives
    second.set()
    threads[1].join()
    wait_until(lambda: not collectionGuard().isHolding)
    assert (gc.isenabled(), gc.get_threshold()) == (True, thresholds)


def test_setting_that_the_user_makes_meanwhile_holds_after_it() -> None:
    leave = threading.Event()
    thread = startThread(lambda: bool(leave.wait(20)), "meanwhile")
    gc.set_threshold(321, 7, 7)
    collectionGuard().tend()
    assert gc.get_threshold()[0] == 0
    leave.set()
    thread.join()
    wait_until(lambda: not collectionGuard().isHolding)
    assert gc.get_threshold() == (321, 7, 7)


def test_nothing_is_collected_for_a_user_who_has_switched_that_off() -> None:
    gc.disable()
    job = job_that(lambda _: litter(500))
    assert job.wait() is JobState.FINISHED
    wait_until(lambda: not collectionGuard().isHolding)
    assert Cycle.num_alive == 500
    assert not gc.isenabled()


def test_setting_is_restored_after_a_thread_that_failed(thresholds: tuple[int, int, int]) -> None:
    job = job_that(lambda _: 1 / 0)
    assert job.wait() is JobState.FAILED
    wait_until(lambda: not collectionGuard().isHolding)
    assert gc.get_threshold() == thresholds


def test_thread_that_cannot_start_leaves_nothing(
    thresholds: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            startThread(lambda: None, "none")
    wait_until(lambda: not collectionGuard().isHolding)
    assert gc.get_threshold() == thresholds


def test_reload_of_the_file_while_a_thread_lives(thresholds: tuple[int, int, int]) -> None:
    job = job_that(wait_for_cancel)
    job.start()
    name = "DSMSegmentLib.jobs.collection_guard"
    before = sys.modules.pop(name)
    try:
        again = importlib.import_module(name)
        leave = threading.Event()
        thread = again.startThread(lambda: bool(leave.wait(20)), "after")
        job.cancel()
        assert job.wait() is JobState.CANCELLED
        again.collectionGuard().tend()
        assert gc.get_threshold()[0] == 0
        leave.set()
        thread.join()
        wait_until(lambda: not again.collectionGuard().isHolding)
        assert gc.get_threshold() == thresholds
    finally:
        sys.modules[name] = before


def test_threads_of_a_worker_and_of_its_cancel_are_guarded() -> None:
    started: list[str] = []

    def start(function: Callable[[], None], name: str) -> threading.Thread:
        started.append(name)
        return startThread(function, name)

    others = set(threading.enumerate())
    with WorkerClient(start_thread=start):
        new = set(threading.enumerate()) - others
        assert sorted(started) == sorted(thread.name for thread in new)
        assert collectionGuard().isHolding


@pytest.mark.parametrize(("folder", "starter"), [("DSMSegmentLib", "collection_guard.py"), ("dsm/client", "jobs.py")])
def test_threads_are_started_in_one_place(folder: str, starter: str) -> None:
    makers = re.compile(r"\b(Thread|Timer|ThreadPoolExecutor|start_new_thread|QThread|QRunnable)\(")
    files = (Path(DSMSegmentLib.__file__).parents[1] / folder).rglob("*.py")
    assert {file.name for file in files if makers.search(file.read_text("utf-8"))} == {starter}
