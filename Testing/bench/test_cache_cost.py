"""Cost of a cached encoding, relative to encoding the scan in the same run."""

from __future__ import annotations

import time

import pytest

from dsm.inference.encoding_cache import EncodingCache

MOST = 0.05  # of the encoding, in CPU seconds

pytestmark = [pytest.mark.bench, pytest.mark.xdist_group("encoded_demo")]


def test_cache_hit_costs_at_most_a_twentieth_of_the_encoding(encoded_demo, tmp_path, monkeypatch):
    segmenter, volume, encode_s = encoded_demo.segmenter, encoded_demo.volume, encoded_demo.seconds
    monkeypatch.setattr(segmenter, "cache", EncodingCache(tmp_path))
    segmenter.cache.keep(segmenter._cache_keys(volume, None)[None], encoded_demo.scan._encoding)
    hit_s = min(_encode_cpu_seconds(segmenter, volume) for _ in range(3))
    print(f"hit {hit_s:.3f} CPU s of {encode_s:.2f} for the encoding = {hit_s / encode_s:.3f}")
    assert hit_s <= MOST * encode_s


def _encode_cpu_seconds(segmenter, volume):
    began = time.process_time()
    segmenter.encode(volume)
    return time.process_time() - began
