"""What a scan costs that was encoded before, against encoding it, in the same run."""

from __future__ import annotations

import time

import pytest

from dsm.inference.encoding_cache import EncodingCache
from dsm.inference.segmenter import Segmenter
from dsm.io.image import read_volume

MOST = 0.05  # of the encoding, in CPU seconds


@pytest.mark.slow
def test_a_hit_costs_a_twentieth_of_the_encoding(demo_ct, tmp_path):
    segmenter = Segmenter.from_pretrained("dsm-small")
    volume = read_volume(demo_ct, modality="CT")
    encode_s = _encode_cpu_seconds(segmenter, volume)
    segmenter.cache = EncodingCache(tmp_path)
    segmenter.encode(volume)
    hit_s = min(_encode_cpu_seconds(segmenter, volume) for _ in range(3))
    print(f"hit {hit_s:.3f} CPU s of {encode_s:.2f} for the encoding = {hit_s / encode_s:.3f}")
    assert hit_s <= MOST * encode_s


def _encode_cpu_seconds(segmenter, volume):
    began = time.process_time()
    segmenter.encode(volume)
    return time.process_time() - began
