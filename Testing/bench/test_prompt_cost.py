"""Cost of one more prompt on an encoded scan, relative to encoding it in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dsm.core.options import SegmentOptions

MOST = 0.10  # of the encoding, in CPU seconds

pytestmark = [pytest.mark.bench, pytest.mark.xdist_group("encoded_demo")]


@pytest.mark.parametrize("prompt", ["liver", "thyroid gland", "liver tumor"])
def test_additional_prompt_costs_at_most_a_tenth_of_the_encoding(encoded_demo, prompt) -> None:
    scan, encode_seconds = encoded_demo.scan, encoded_demo.seconds
    seconds = min(_cpu_seconds(lambda: scan.segment(prompt, SegmentOptions(guess=True))) for _ in range(3))
    print(f"{prompt}: {seconds:.2f} CPU-s of {encode_seconds:.2f} for the encoding = {seconds / encode_seconds:.3f}")
    assert seconds <= MOST * encode_seconds


def _cpu_seconds(job: Callable[[], object]) -> float:
    began = time.process_time()
    job()
    return time.process_time() - began
