"""A job stops within two seconds of the request, and the worker goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from worker_host import LARGE, SMALL, Host, cpu_seconds, phantom

from dsm.errors import JobCancelled
from dsm.wire.messages import Progress, Result

pytestmark = pytest.mark.xdist_group("worker")  # one worker for all of them


def cancel_at(host: Host, job: str, when: Callable[[Progress | Result], bool]) -> tuple[float, list[Progress | Result]]:
    """Cancel at the first event that fits; return the seconds that the worker still computed, and all events."""
    asked: list[float] = []
    events: list[Progress | Result] = []

    def watch(event: Progress | Result) -> None:
        events.append(event)
        if not asked and when(event):
            asked.append(cpu_seconds(host.pid))
            host.cancel(job, grace_s=100)  # no kill: it should not be needed

    with pytest.raises(JobCancelled):
        host.wait(job, timeout_s=200, on_event=watch)
    return cpu_seconds(host.pid) - asked[0], events


def test_cancel_while_encoding(host: Host) -> None:
    job = host.set_volume(phantom(LARGE), key="large")
    seconds, events = cancel_at(host, job, lambda e: isinstance(e, Progress) and e.stage == "encode" and e.done > 0)
    assert seconds < 2
    assert not any(isinstance(e, Progress) and e.done == e.total and e.stage == "encode" for e in events)
    assert host.alive, "the worker should not have needed to be killed"
    host.wait(host.set_volume(phantom(SMALL)), timeout_s=200)
    assert len(host.results(host.segment("liver"))) == 1


def test_cancel_while_decoding_keeps_finished_results(encoded: Host) -> None:
    # Not that of the other tests, which have to encode it.
    encoded.wait(encoded.set_volume(phantom(LARGE) + 1, key="decoded"), timeout_s=200)
    # Enough that the worker is still at it when a host that had to wait for its turn asks.
    names = ["liver", "spleen", "left kidney", "right kidney", "pancreas", "liver tumor", "kidney tumor"] * 10
    job = encoded.segment(*names, key="decoded", threshold=0.3, maps=True)
    seconds, events = cancel_at(encoded, job, lambda e: isinstance(e, Result))
    results = [event for event in events if isinstance(event, Result)]
    assert seconds < 2
    assert 1 <= len(results) < len(names)
    assert all((encoded.folder / result.file).is_file() for result in results if result.file)
    assert encoded.alive
    assert len(encoded.results(encoded.segment("liver"))) == 1


def test_cancel_of_a_waiting_job_does_not_affect_the_running_one(host: Host) -> None:
    running = host.set_volume(phantom(LARGE), key="large")
    waiting = host.segment("liver", key="large")
    host.cancel(waiting, grace_s=100)
    with pytest.raises(JobCancelled):
        host.wait(waiting, timeout_s=100)
    seconds, events = cancel_at(host, running, lambda e: isinstance(e, Progress) and e.stage == "encode")
    assert events, "the running job went on after the waiting one was dropped"
    assert seconds < 2
    assert host.alive


def test_late_cancel_is_ignored(encoded: Host) -> None:
    job = encoded.segment("liver")
    encoded.wait(job, timeout_s=200)
    encoded.cancel(job)
    encoded.cancel("never heard of")
    assert len(encoded.results(encoded.segment("liver"))) == 1
