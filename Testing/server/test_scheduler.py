"""Order of jobs. No worker runs here: the slots are never started."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dsm.core.volume import Volume
from dsm.errors import DSMError, JobCancelled, WorkerError
from dsm.server.job import Job, JobSpec
from dsm.server.limits import Limits
from dsm.server.scheduler import Scheduler
from dsm.server.volumes import StoredVolume, VolumeStore
from dsm.server.worker import Worker
from dsm.text.prompt import parse_prompts

(LIVER,) = parse_prompts("liver")


def no_worker() -> Worker:
    raise AssertionError


@pytest.fixture
def scheduler(tmp_path: Path) -> Scheduler:
    limits = Limits(jobs_per_user=5, waiting_jobs=8, finished_jobs_per_user=2)
    volumes = VolumeStore(tmp_path, limits)
    for name in "abc":
        volumes._volumes[name] = StoredVolume(name, "anna", tmp_path / name, 1, (2, 2, 2), ((0.0,) * 4,) * 4, "CT", 0)
    return Scheduler([no_worker, no_worker], volumes, limits)


def submit(scheduler: Scheduler, *names: str) -> None:
    for name in names:
        scheduler.submit("anna", JobSpec(volume=name, prompts=(LIVER,)))


def taken(scheduler: Scheduler, encoded: list[str], since: float) -> str:
    job = scheduler.take(encoded, since)
    assert job is not None
    return job.spec.volume


def test_jobs_on_the_encoded_volume_have_priority_for_a_limited_time(scheduler: Scheduler) -> None:
    submit(scheduler, "a", "b", "a", "b")
    now = time.monotonic()
    assert [taken(scheduler, ["b"], now) for _ in range(3)] == ["b", "b", "a"]


def test_oldest_job_is_next_after_the_priority_period(scheduler: Scheduler) -> None:
    submit(scheduler, "a", "b", "a", "b")
    over = time.monotonic() - 10
    assert [taken(scheduler, ["b"], over) for _ in range(2)] == ["a", "b"]
    scheduler.note_encoding(60.0)  # encodings are slow here: the turn is longer
    assert taken(scheduler, ["b"], over) == "b"


def test_job_is_left_to_the_worker_with_the_encoded_volume(scheduler: Scheduler) -> None:
    scheduler._slots[1].volumes = ["a"]
    submit(scheduler, "a", "c")
    assert taken(scheduler, [], 0.0) == "c"
    assert taken(scheduler, [], 0.0) == "a"  # unless there is nothing else to do


def test_job_is_requeued_once(scheduler: Scheduler) -> None:
    submit(scheduler, "a", "b")
    job = scheduler.take([], 0.0)
    assert job is not None
    assert scheduler.put_back(job)
    assert scheduler.take([], 0.0) is job
    assert not scheduler.put_back(job)


def test_other_workers_run_the_jobs_if_one_fails_to_start(tmp_path: Path) -> None:
    class Works:
        alive = True

        def load(self) -> None: ...
        def close(self) -> None: ...

        def take(self, *_: object, **__: object) -> list[dict[str, object]]:
            return []

        segment = take

    starts = []

    def fails() -> Worker:
        starts.append(time.monotonic())
        raise WorkerError("It does not start.", code="worker.start")

    volumes = VolumeStore(tmp_path, Limits())
    volumes._volumes["a"] = StoredVolume("a", "anna", tmp_path / "a", 1, (2, 2, 2), ((0.0,) * 4,) * 4, "CT", 0)
    scheduler = Scheduler([fails, Works], volumes, Limits())
    scheduler._slots[1].thread.start()
    while not scheduler.num_alive:
        time.sleep(0.01)
    scheduler._slots[0].thread.start()
    jobs = [scheduler.submit("anna", JobSpec(volume="a", prompts=(LIVER,))) for _ in range(5)]
    deadline = time.monotonic() + 20
    while any(job.is_open for job in jobs):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    scheduler.close()
    assert [job.state for job in jobs] == ["done"] * 5
    assert len(starts) == 1
    assert not scheduler._slots[0].thread.is_alive()


def test_encoding_by_a_prompt_counts_and_the_volume_is_sent_once(tmp_path: Path) -> None:
    taken: list[bool] = []
    steps = [2, 2, 1]  # the last first; the second "2" is another model's

    class Encodes:
        alive = True

        def load(self) -> None:
            """Done at once."""

        def take(self, *_: object, encode: bool) -> list[dict[str, object]]:
            taken.append(encode)
            return []

        def segment(self, *_: object) -> list[dict[str, object]]:
            return [{"type": "progress", "stage": "encode", "done": steps.pop(), "total": 2} for _ in range(len(steps))]

        def close(self) -> None:
            """Nothing to end."""

    volumes = VolumeStore(tmp_path, Limits())
    volumes._volumes["a"] = StoredVolume("a", "anna", tmp_path / "a", 1, (2, 2, 2), ((0.0,) * 4,) * 4, "CT", 0)
    encodings: list[float] = []
    scheduler = Scheduler([Encodes], volumes, Limits())
    scheduler.note_encoding = encodings.append  # type: ignore[method-assign]
    scheduler.start()
    for prompts in ((LIVER,), (LIVER,), ()):
        job = scheduler.submit("anna", JobSpec(volume="a", prompts=prompts))
        assert [event["type"] for event in job.follow()][-1] == "done"
    scheduler.close()
    assert taken == [False, True]
    assert len(encodings) == 1


def test_jobs_fail_with_the_reason_if_no_worker_starts(tmp_path: Path) -> None:
    def fails() -> Worker:
        raise WorkerError("It does not start.", code="worker.start")

    volumes = VolumeStore(tmp_path, Limits())
    volumes._volumes["a"] = StoredVolume("a", "anna", tmp_path / "a", 1, (2, 2, 2), ((0.0,) * 4,) * 4, "CT", 0)
    scheduler = Scheduler([fails], volumes, Limits())
    scheduler.start()
    job = scheduler.submit("anna", JobSpec(volume="a", prompts=(LIVER,)))
    deadline = time.monotonic() + 20
    while job.is_open:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    scheduler.close()
    assert job.state == "failed"
    assert b"worker.start" in job.lines()[0][-1]


def test_waiting_job_is_cancelled_immediately(scheduler: Scheduler) -> None:
    submit(scheduler, "a")
    job = scheduler._waiting[0]
    scheduler.cancel(job)
    assert (job.state, scheduler.num_waiting) == ("cancelled", 0)
    lines, ended = job.lines()
    assert ended
    assert b'"cancelled"' in lines[-1]


def test_limits(scheduler: Scheduler) -> None:
    submit(scheduler, *"aaaaa")
    with pytest.raises(DSMError) as caught:
        submit(scheduler, "a")
    assert caught.value.code == "quota"
    with pytest.raises(DSMError) as caught:
        scheduler.submit("bert", JobSpec(volume="a", prompts=()))  # not his
    assert caught.value.code == "no_volume"


def test_oldest_finished_jobs_are_discarded_first(scheduler: Scheduler) -> None:
    ids = []
    for _ in range(4):
        submit(scheduler, "a")
        job = scheduler.take([], 0.0)
        assert job is not None
        job.emit({"type": "done"}, state="done")
        ids.append(job.id)
    with pytest.raises(DSMError):
        scheduler.get("anna", ids[0])
    assert scheduler.get("anna", ids[3]).state == "done"


def test_shutdown_fails_waiting_jobs(scheduler: Scheduler) -> None:
    submit(scheduler, "a")
    job = scheduler._waiting[0]
    scheduler.close()
    assert job.state == "failed"
    assert scheduler.take([], 0.0) is None
    with pytest.raises(DSMError) as caught:
        submit(scheduler, "a")
    assert caught.value.code == "closing"


def part_of(scheduler: Scheduler, job: Job, volume: str) -> tuple[threading.Thread, list[dict[str, object]]]:
    """Run a part of a job on a thread; returns it with the events, once the part waits for a worker."""
    events: list[dict[str, object]] = []
    spec = JobSpec(volume=volume, prompts=(LIVER,))
    thread = threading.Thread(target=lambda: events.extend(scheduler.run_part(job, spec)))
    thread.start()
    deadline = time.monotonic() + 20
    while not scheduler.num_waiting:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return thread, events


def test_job_on_a_series_counts_once_and_cancels_its_part(scheduler: Scheduler) -> None:
    jobs = [scheduler.add("anna", JobSpec(address="studies/1")) for _ in range(5)]
    thread, events = part_of(scheduler, jobs[0], "a")
    with pytest.raises(DSMError, match="5 jobs"):
        scheduler.add("anna", JobSpec(address="studies/1"))
    scheduler.cancel(jobs[0])
    thread.join(20)
    assert [event["code"] for event in events] == ["cancelled"]
    with pytest.raises(JobCancelled):
        next(scheduler.run_part(jobs[0], JobSpec(volume="a", prompts=(LIVER,))))
    scheduler.cancel(jobs[1])  # no thread has taken it yet
    assert jobs[1].state == "cancelled"
    assert not jobs[1].begin()


def test_shutdown_ends_jobs_on_series(scheduler: Scheduler) -> None:
    fetched, waiting = (scheduler.add("anna", JobSpec(address="studies/1")) for _ in range(2))
    assert fetched.begin()
    thread, events = part_of(scheduler, fetched, "a")
    scheduler.close()
    thread.join(20)
    assert [event["code"] for event in events] == ["closing"]
    assert (fetched.state, waiting.state) == ("failed", "failed")


def test_unused_series_volumes_are_evicted_at_the_quota(tmp_path: Path) -> None:
    store = VolumeStore(tmp_path, Limits(volumes_per_user=2))
    scan = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "CT", "scan")
    with store.added("anna", scan) as first, store.added("anna", scan) as second:
        with pytest.raises(DSMError, match="2 volumes"), store.added("anna", scan):
            pass  # both are in use
        with store.added("bert", scan):
            pass
    with store.added("anna", scan) as third:
        assert not second.path.exists() or not first.path.exists()
        assert np.load(third.path).shape == (4, 4, 4)
    assert len(store) == 3
