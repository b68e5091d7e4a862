"""Splitting of a byte stream into lines of bounded length."""

from __future__ import annotations

from dsm.wire.messages import MAX_LINE_BYTES


class LineBuffer:
    """Buffer that assembles chunks into whole lines.

    A line longer than `limit` is cut to `limit + 1` bytes, which the decoder refuses as too long; the rest of it is
    dropped, so that a sender who never ends a line cannot fill the memory.

    Args:
        limit: Longest line in bytes.
    """

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add a chunk and return the lines that it completes, without line ends; blank lines are skipped."""
        lines = []
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._keep(part)
            if line := bytes(self._pending).rstrip(b"\r"):
                lines.append(line)
            self._pending.clear()
        self._keep(rest)
        return lines

    def _keep(self, part: bytes) -> None:
        room = self._limit + 1 - len(self._pending)
        self._pending += part[: max(room, 0)]
