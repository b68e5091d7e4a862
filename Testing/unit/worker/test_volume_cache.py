"""Eviction of encoded volumes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsm.worker.volume_cache import VolumeCache


def test_equal_content_is_stored_once_under_two_keys() -> None:
    cache: VolumeCache[str] = VolumeCache(2)
    cache.put("a", "hash", "entry")
    assert cache.name("b", "hash")
    assert (cache.get("a"), cache.get("b"), len(cache)) == ("entry", "entry", 1)
    cache.drop("a")
    assert (cache.get("a"), cache.get("b")) == (None, "entry")
    cache.drop("b")
    assert len(cache) == 0


def test_reused_key_frees_its_former_entry() -> None:
    cache: VolumeCache[str] = VolumeCache(2)
    cache.put("a", "old", "entry")
    assert not cache.name("a", "new")
    assert (cache.get("a"), len(cache)) == (None, 0)


def test_least_recently_used_volume_is_evicted() -> None:
    cache: VolumeCache[int] = VolumeCache(2)
    cache.put("a", "1", 1)
    cache.put("b", "2", 2)
    cache.get("a")
    cache.make_room()
    cache.put("c", "3", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


@given(st.lists(st.tuples(st.sampled_from(["set", "get", "drop", "clear"]), st.integers(0, 3), st.integers(0, 3))))
def test_names_and_entries_are_consistent(steps: list[tuple[str, int, int]]) -> None:
    cache: VolumeCache[str] = VolumeCache(2)
    for step, key, content in steps:
        name, digest = f"k{key}", f"c{content}"
        if step == "set" and not cache.name(name, digest):
            cache.make_room()
            cache.put(name, digest, digest)
        if step == "set":
            assert cache.get(name) == digest
        if step == "get":
            cache.get(name)
        if step == "drop":
            cache.drop(name)
            assert cache.get(name) is None
        if step == "clear":
            cache.clear()
            assert len(cache) == 0
        assert len(cache) <= 2
