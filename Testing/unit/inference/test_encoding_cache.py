"""Cache of encodings on disk: exact, within a budget, and validated when read."""

import os
from dataclasses import fields

import numpy as np
import pytest
import torch

from dsm.core.volume import Volume
from dsm.inference.encoding_cache import EncodingCache, encoding_keys
from dsm.inference.segmenter import Segmenter


def volume_of(seed=0):
    array = np.random.default_rng(seed).integers(-200, 300, (40, 36, 30)).astype(np.int16)
    return Volume(np.asfortranarray(array), np.diag([1.5, 1.5, 1.5, 1.0]))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def segmenter(tiny_model, folder, monkeypatch):
    monkeypatch.setenv("DSM_CACHE_DIR", str(folder))
    made = Segmenter.from_pretrained(tiny_model)
    made.calls = 0
    fine = made.net.fine

    def counted(x):
        made.calls += 1
        return fine(x)

    made.net.fine = counted
    return made


def tensors_of(encoding):
    for field in fields(encoding):
        value = getattr(encoding, field.name)
        if isinstance(value, torch.Tensor):
            yield field.name, value
        elif isinstance(value, tuple):
            for part in value:
                yield from [(field.name, part)] if isinstance(part, torch.Tensor) else tensors_of(part)


def memory_order(tensor):
    return [step for step, length in zip(tensor.stride(), tensor.shape, strict=True) if length > 1]


def test_cached_encoding_is_bit_for_bit_identical(segmenter):
    first = segmenter.encode(volume_of())
    second = segmenter.encode(volume_of())
    assert segmenter.calls == 1
    before, after = list(tensors_of(first._encoding)), list(tensors_of(second._encoding))
    assert [name for name, _ in before] == [name for name, _ in after]
    for (name, one), (_, other) in zip(before, after, strict=True):
        assert torch.equal(one, other), name
        assert memory_order(one) == memory_order(other), name
    assert first.grid == second.grid
    for one, other in zip(first.segment("liver; heart"), second.segment("liver; heart"), strict=True):
        assert one.evidence == other.evidence
        assert np.array_equal(one.full_mask(), other.full_mask())


def test_volumes_and_models_have_separate_entries(segmenter, folder):
    segmenter.encode(volume_of(0))
    segmenter.encode(volume_of(1))
    assert segmenter.calls == len(list(folder.iterdir())) == 2
    assert encoding_keys(volume_of(), model_digest="a") != encoding_keys(volume_of(), model_digest="b")


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "empty", "text"])
def test_damaged_entry_is_recomputed(segmenter, folder, damage):
    expected = segmenter.encode(volume_of())
    (path,) = folder.iterdir()
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-1000] ^= 1
    elif damage == "cut":
        del data[-100:]
    elif damage == "grow":
        data += b"more"
    else:
        data = bytearray(b"not an encoding" if damage == "text" else b"")
    path.write_bytes(data)
    found = segmenter.encode(volume_of())
    assert segmenter.calls == 2
    assert torch.equal(found._encoding.embedding, expected._encoding.embedding)
    segmenter.encode(volume_of())
    assert segmenter.calls == 2  # and it is whole again


def test_flipped_bytes_are_detected(segmenter, folder):
    key = encoding_keys(volume_of(), model_digest=segmenter.entry.digest)[None]
    segmenter.encode(volume_of())
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*rng.integers(0, len(whole), 60), *range(0, 400, 7)]:
        data = bytearray(whole)
        data[position] ^= 0x10
        path.write_bytes(data)
        found = EncodingCache(folder).load(key, device=torch.device("cpu"))
        assert found is None, position
    path.write_bytes(whole)
    assert EncodingCache(folder).load(key, device=torch.device("cpu")) is not None


def test_least_recently_used_entries_are_evicted(segmenter, folder):
    for seed in (0, 1, 2):
        segmenter.encode(volume_of(seed))
    paths = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    size = paths[0].stat().st_size
    for age, path in zip((300, 200, 100), paths, strict=True):
        os.utime(path, (1e9 - age, 1e9 - age))
    segmenter.encode(volume_of(0))  # used now
    segmenter.cache = EncodingCache(folder, budget_bytes=int(2.5 * size))
    segmenter.encode(volume_of(3))
    left = {path.name for path in folder.iterdir()}
    assert len(left) == 2
    assert paths[0].name in left
    assert paths[1].name not in left


def test_cache_is_off_by_default(tiny_model, monkeypatch):
    monkeypatch.delenv("DSM_CACHE_DIR", raising=False)
    assert Segmenter.from_pretrained(tiny_model).cache is None


@pytest.mark.parametrize(("text", "expected"), [("1.5", 1_500_000_000), ("many", 4 * 10**9), ("-3", 4 * 10**9)])
def test_budget_from_the_environment(monkeypatch, tmp_path, text, expected):
    monkeypatch.setenv("DSM_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("DSM_CACHE_GB", text)
    assert EncodingCache.from_environment()._budget_bytes == expected


def test_unusable_cache_folder_is_ignored(segmenter, tmp_path):
    (tmp_path / "file").write_text("in the way")
    segmenter.cache = EncodingCache(tmp_path / "file" / "cache")
    assert segmenter.encode(volume_of()).num_slabs == 1


def test_partial_files_are_kept_while_written_and_removed_when_stale(segmenter, folder):
    folder.mkdir()
    begun, left = folder / ".dsm-part-1.encoding", folder / ".dsm-part-2.encoding"
    for path in (begun, left):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    segmenter.encode(volume_of())
    assert begun.exists()
    assert not left.exists()


def test_entry_rewritten_during_a_failed_read_is_kept(segmenter, folder, monkeypatch, caplog):
    key = encoding_keys(volume_of(), model_digest=segmenter.entry.digest)[None]
    segmenter.encode(volume_of())
    (path,) = folder.iterdir()
    whole = path.read_bytes()

    def evicted(path, _device):  # by one process, and written anew by another
        path.unlink()
        (folder / "next").write_bytes(whole)
        (folder / "next").rename(path)
        raise RuntimeError("No such file or directory")

    monkeypatch.setattr("dsm.inference.encoding_cache._read", evicted)
    assert EncodingCache(folder).load(key, device=torch.device("cpu")) is None
    assert path.read_bytes() == whole
    assert not caplog.records
