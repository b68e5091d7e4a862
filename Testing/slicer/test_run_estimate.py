"""Estimates from the times of earlier runs: arithmetic, no wall times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.models.config import ModelConfig
from dsm.wire.messages import Progress
from DSMSegmentLib import RemoteBackend, WorkerBackend
from DSMSegmentLib.jobs.encoding_watch import EncodingWatch
from DSMSegmentLib.jobs.run_estimate import Engine, RunEstimate, RunEstimates, speedOf
from DSMSegmentLib.panel.summary import estimateText

SERVER = Engine("https://server:8470")


def body(shape: tuple[int, int, int], spacing_mm: float = 1.5, air: int = 0) -> Volume:
    """A block of soft tissue, with so many voxels of air around it."""
    array = np.full([n + 2 * air for n in shape], -1000, np.int16)
    array[tuple(slice(air, air + n) for n in shape)] = 40
    return Volume(array, np.diag([spacing_mm] * 3 + [1.0]))


def test_nothing_is_said_before_a_run_was_seen() -> None:
    estimates = RunEstimates()
    assert estimates.of(body((64, 64, 64)), SERVER) is None
    estimates.learn(SERVER, speedOf(body((64, 64, 64)), SERVER, 2.0))
    assert estimates.of(body((64, 64, 64)), Engine("https://other:8470")) is None
    assert not estimates.knows(Engine("https://other:8470"))


def test_seconds_are_proportional_to_the_working_voxels() -> None:
    estimates = RunEstimates()
    estimates.learn(SERVER, speedOf(body((64, 64, 64)), SERVER, 2.0))
    for volume, seconds in (
        (body((64, 64, 64)), 2.0),
        (body((64, 64, 192)), 6.0),
        (body((64, 64, 50)), 2.0),  # the network is given whole blocks of 16
        (body((128, 128, 128), spacing_mm=0.75), 2.0),  # finer voxels, the same body
        (body((32, 32, 32), spacing_mm=3.0), 2.0),
    ):
        found = estimates.of(volume, SERVER)
        assert found is not None
        assert found.seconds == pytest.approx(seconds)


def test_air_around_the_body_costs_little() -> None:
    estimates = RunEstimates()
    estimates.learn(SERVER, speedOf(body((64, 64, 64)), SERVER, 2.0))
    found = estimates.of(body((64, 64, 64), air=60), SERVER)
    assert found is not None
    assert found.seconds <= 2.0 * (80 / 64) ** 3  # one more block along each axis at most; 24 times with the air


def test_region_costs_what_is_read_around_it(dsm_tiny: Path) -> None:
    engine = Engine("tiny cpu", ModelConfig.load(dsm_tiny))
    volume = body((160, 160, 160))
    region = Box((70, 70, 70), (86, 86, 86))  # and 40 voxels, 6 cm, around it: 96
    estimates = RunEstimates()
    estimates.learn(engine, speedOf(volume, engine, 2.0, region))
    whole, part = estimates.of(volume, engine), estimates.of(volume, engine, region)
    assert whole is not None
    assert part is not None
    assert part.seconds == pytest.approx(2.0)
    assert whole.seconds == pytest.approx(2.0 * (160 / 96) ** 3)
    assert part.memoryBytes < whole.memoryBytes
    estimates.learn(SERVER, 1.0)
    assert estimates.of(volume, SERVER, region) == estimates.of(volume, SERVER), "a server reads all of it"


def test_the_newest_run_counts_and_everything_known_is_kept() -> None:
    kept: list[dict[str, float]] = []
    estimates = RunEstimates({"older model cpu": 1.0}, kept.append)
    for seconds in (2.0, 5.0):
        estimates.learn(SERVER, speedOf(body((64, 64, 64)), SERVER, seconds))
    assert kept[-1] == pytest.approx({"older model cpu": 1.0, SERVER.key: 5.0 * 1e6 / 64**3})
    found = RunEstimates(kept[-1]).of(body((64, 64, 64)), SERVER)
    assert found is not None
    assert found.seconds == pytest.approx(5.0)


def test_measurement_counts_until_a_run_was_seen_and_is_not_kept() -> None:
    kept: list[dict[str, float]] = []
    estimates = RunEstimates(keep=kept.append)
    estimates.measured(SERVER, 3.0 * 1e6 / 64**3)
    assert estimates.knows(SERVER)
    measured = estimates.of(body((64, 64, 128)), SERVER)
    assert measured is not None
    assert measured.seconds == pytest.approx(6.0)
    assert kept == []
    estimates.learn(SERVER, speedOf(body((64, 64, 64)), SERVER, 2.0))
    estimates.measured(SERVER, 1.0)
    learned = estimates.of(body((64, 64, 128)), SERVER)
    assert learned is not None
    assert learned.seconds == pytest.approx(4.0)


def test_memory_is_what_the_engine_predicts(dsm_tiny: Path) -> None:
    from dsm.inference.segmenter import Segmenter

    volume = body((96, 80, 112))
    engine = Engine("tiny cpu", ModelConfig.load(dsm_tiny))
    estimates = RunEstimates({"tiny cpu": 1.0})
    found = estimates.of(volume, engine)
    assert found is not None
    assert found.memoryBytes == Segmenter.from_pretrained(dsm_tiny).estimate(volume).memory_bytes


def test_engines_are_told_apart(dsm_tiny: Path) -> None:
    backend = WorkerBackend(str(dsm_tiny), device="cpu")
    cpu = backend.engine
    backend.choose(str(dsm_tiny), "cuda", "auto")
    assert cpu is not None
    assert backend.engine is not None
    assert backend.engine.key != cpu.key
    backend.choose(str(dsm_tiny), "cpu", "int8")
    assert backend.engine.key != cpu.key
    backend.choose("no such model", "cpu", "auto")
    assert backend.engine is None
    assert RemoteBackend().engine is None
    assert RemoteBackend("server:8470", "token").engine == SERVER


class TestWatch:
    @staticmethod
    def seconds(*progress: tuple[float, str, int, int]) -> float | None:
        now = [0.0]
        watch = EncodingWatch(lambda: now[0])
        for at, stage, done, total in progress:
            now[0] = at
            watch.note(Progress(id="", stage=stage, done=done, total=total))
        return watch.seconds

    MODEL = ((0.0, "load", 0, 2), (3.0, "load", 2, 2))

    def test_from_cropping_to_the_end_of_the_encoding(self) -> None:
        encoded = ((5.0, "load", 0, 1), (6.0, "load", 1, 1), (6.0, "encode", 0, 90), (15.0, "encode", 90, 90))
        assert self.seconds(*self.MODEL, *encoded, (17.0, "decode", 1, 1)) == 10.0

    def test_what_was_not_encoded_has_no_time(self) -> None:
        assert self.seconds(*self.MODEL, (4.0, "text", 0, 1), (5.0, "decode", 1, 1)) is None
        on_disk = ((5.0, "load", 0, 1), (5.1, "load", 1, 1), (5.1, "encode", 0, 1), (5.1, "encode", 1, 1))
        assert self.seconds(*self.MODEL, *on_disk) is None

    def test_an_encoding_that_was_stopped_has_no_time(self) -> None:
        assert self.seconds((0.0, "load", 0, 1), (1.0, "encode", 0, 90), (2.0, "encode", 40, 90)) is None

    def test_waiting_for_the_server_does_not_count(self) -> None:
        assert self.seconds((0.0, "waiting", 0, 1), (60.0, "load", 0, 1), (62.0, "encode", 90, 90)) == 2.0


def test_sentence() -> None:
    assert estimateText(RunEstimate(25.4, 2_610_000_000)) == (
        "Encoding this volume takes about 25 s and 2.6 GB of memory, once; later prompts are fast."
    )
    assert "about 1 s and 0.1 GB" in estimateText(RunEstimate(0.2, 1))
    assert "about 4 minutes" in estimateText(RunEstimate(240.0, 1))
    assert "the server takes about 25 s, once" in estimateText(RunEstimate(25.0, 0))
