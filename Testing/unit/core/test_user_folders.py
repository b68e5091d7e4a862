"""Folders of the user, by operating system; and the name of the processor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dsm.core.processor import processor_name
from dsm.core.user_folders import user_cache_dir, user_data_dir


@pytest.mark.parametrize(
    ("system", "data", "cache"),
    [
        ("linux", ".local/share/dsmsegment", ".cache/dsmsegment"),
        ("darwin", "Library/Application Support/dsmsegment", "Library/Caches/dsmsegment"),
        ("win32", "AppData/Local/dsmsegment", "AppData/Local/dsmsegment/Cache"),
    ],
)
def test_folders_follow_the_conventions_of_the_system(
    monkeypatch: pytest.MonkeyPatch, system: str, data: str, cache: str
) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", system)
    assert user_data_dir() == Path.home() / data
    assert user_cache_dir() == Path.home() / cache


def test_processor_name_is_not_empty() -> None:
    assert processor_name().strip()
    assert processor_name() != "x86_64"
