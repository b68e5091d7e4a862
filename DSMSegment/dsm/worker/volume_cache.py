"""Cache of volumes by content."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from dsm.wire.messages import KEPT_VOLUMES

T = TypeVar("T")


class VolumeCache(Generic[T]):
    """Least-recently-used cache: hosts use their own keys, and equal content is kept once.

    Args:
        capacity: Most volumes kept; one takes hundreds of MB, encoded or not.
    """

    def __init__(self, capacity: int = KEPT_VOLUMES) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, T] = OrderedDict()
        self._content_of: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, content: str) -> T | None:
        """Return the entry of a content, whatever its keys; None if it is not cached."""
        return self._entries.get(content)

    def name(self, key: str, content: str) -> bool:
        """Assign `key` to `content` if that is cached, else forget `key`; returns whether it is."""
        self._content_of.pop(key, None)
        known = content in self._entries
        if known:
            self._content_of[key] = content
            self._entries.move_to_end(content)
        self._forget_unused()
        return known

    def make_room(self) -> None:
        """Drop the least recently used volumes until one more fits; call it before one is added."""
        while len(self._entries) >= self._capacity:
            self._entries.popitem(last=False)
        self._forget_unused()

    def put(self, key: str, content: str, entry: T) -> None:
        """Store `entry` under the host's `key`."""
        self._content_of[key] = content
        self._entries[content] = entry
        self._forget_unused()

    def get(self, key: str) -> T | None:
        """Return the entry of `key`, or None if it is not cached."""
        content = self._content_of.get(key)
        if content is None:
            return None
        self._entries.move_to_end(content)
        return self._entries[content]

    def drop(self, key: str) -> None:
        """Forget `key`, and its volume if no other key refers to it."""
        self._content_of.pop(key, None)
        self._forget_unused()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._content_of.clear()

    def _forget_unused(self) -> None:
        """Remove keys without an entry, and entries without a key."""
        used = set(self._content_of.values())
        for content in [content for content in self._entries if content not in used]:
            del self._entries[content]
        for key in [key for key, content in self._content_of.items() if content not in self._entries]:
            del self._content_of[key]
