"""The few encoded volumes that a worker keeps, by content."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from dsm.wire.messages import KEPT_VOLUMES

T = TypeVar("T")


class VolumeCache(Generic[T]):
    """Least-recently-used store: hosts use their own names, equal voxels are kept once.

    Args:
        capacity: Most volumes kept; an encoding takes hundreds of MB.
    """

    def __init__(self, capacity: int = KEPT_VOLUMES) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, T] = OrderedDict()
        self._content_of: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, content: str) -> bool:
        return content in self._entries

    def name(self, key: str, content: str) -> bool:
        """Let `key` mean `content` from now on, if it is here; else forget `key`. Return whether it is here."""
        self._content_of.pop(key, None)
        known = content in self._entries
        if known:
            self._content_of[key] = content
            self._entries.move_to_end(content)
        self._forget_unused()
        return known

    def make_room(self) -> None:
        """Drop the volumes used longest ago until one more fits: before encoding, when memory is needed most."""
        while len(self._entries) >= self._capacity:
            self._entries.popitem(last=False)
        self._forget_unused()

    def put(self, key: str, content: str, entry: T) -> None:
        """Keep `entry` under the host's `key`."""
        self._content_of[key] = content
        self._entries[content] = entry
        self._forget_unused()

    def get(self, key: str) -> T | None:
        """Return the entry that `key` means, or None when it was never there or was dropped."""
        content = self._content_of.get(key)
        if content is None:
            return None
        self._entries.move_to_end(content)
        return self._entries[content]

    def drop(self, key: str) -> None:
        """Forget `key`, and its volume when no other key means it."""
        self._content_of.pop(key, None)
        self._forget_unused()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._content_of.clear()

    def _forget_unused(self) -> None:
        """Keep names and entries in step: neither a name without an entry nor an entry without a name."""
        used = set(self._content_of.values())
        for content in [content for content in self._entries if content not in used]:
            del self._entries[content]
        for key in [key for key, content in self._content_of.items() if content not in self._entries]:
            del self._content_of[key]
