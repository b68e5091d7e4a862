"""Estimated and measured time of a run; the estimate comes from an encoding of half the size or from a measurement.

In CPU seconds of one process: the wall belongs to whatever else runs here.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
HOST = Path(__file__).parents[1] / "slicer_host"
sys.path[:0] = [str(HOST), str(HOST / "panel")]

from dsm.bench.phantom import phantom_ct  # noqa: E402  (after the host's folders are on the path)
from dsm.errors import ModelNotFoundError  # noqa: E402

SPACING_MM = (1.6, 1.6, 3.0)
FACTOR = 1.5

pytestmark = pytest.mark.bench  # half a minute of an idle machine


@pytest.fixture
def segmenter():
    import panel_host  # noqa: F401  (before DSMSegmentLib, which asks at its import whether it is in Slicer)

    from dsm.inference.segmenter import Segmenter

    try:
        return Segmenter.from_pretrained("dsm-small")
    except ModelNotFoundError:
        pytest.skip("the weights of dsm-small are not here")


def encode_seconds(segmenter, volume):
    from dsm.wire.messages import Progress
    from DSMSegmentLib.jobs.encoding_watch import EncodingWatch

    watch = EncodingWatch(time.process_time)

    def note(stage: str, done: int, total: int) -> None:
        watch.note(Progress(id="", stage=stage, done=done, total=total))

    segmenter.encode(volume, progress=note)
    return watch.seconds


def test_estimate_is_within_a_factor_of_1_5(segmenter):
    from DSMSegmentLib.jobs.run_estimate import Engine, RunEstimates, speedOf

    engine = Engine("dsm-small cpu", segmenter.config)
    half, whole = (phantom_ct((256, 256, slices), SPACING_MM) for slices in (75, 150))
    estimates = RunEstimates()
    half_s = encode_seconds(segmenter, half)
    estimates.learn(engine, speedOf(half, engine, half_s))
    estimated_s = estimates.of(whole, engine).seconds
    taken_s = encode_seconds(segmenter, whole)
    print(f"75 slices took {half_s:.1f} CPU s; 150: {estimated_s:.1f} said, {taken_s:.1f} taken")
    assert 1 / FACTOR < estimated_s / taken_s < FACTOR


def test_first_estimate_is_within_a_factor_of_1_5(segmenter, monkeypatch):
    """On the demo CT, as the panel says it after *Test*, before any run."""
    import slicerio

    from dsm.inference import estimate
    from dsm.io.image import read_volume
    from DSMSegmentLib.jobs.run_estimate import Engine, RunEstimates

    ct = read_volume(next(Path(slicerio.__file__).parent.rglob("CTChest*.nrrd")))
    monkeypatch.setattr(estimate.time, "perf_counter", time.process_time)
    engine = Engine("dsm-small cpu", segmenter.config)
    estimates = RunEstimates()
    began = time.process_time()
    estimates.measured(engine, segmenter.measure())
    measuring_s = time.process_time() - began
    estimated_s = estimates.of(ct, engine).seconds
    taken_s = encode_seconds(segmenter, ct)
    print(f"measuring took {measuring_s:.1f} CPU s; the CT: {estimated_s:.1f} said, {taken_s:.1f} taken")
    assert measuring_s < 3
    assert 1 / FACTOR < estimated_s / taken_s < FACTOR
