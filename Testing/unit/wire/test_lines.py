"""Lines from chunks of a pipe."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsm.wire.lines import LineBuffer


@given(st.lists(st.binary(max_size=8).map(lambda b: b.replace(b"\n", b"").rstrip(b"\r"))), st.data())
def test_lines_are_independent_of_stream_chunks(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    buffer, found = LineBuffer(limit=100), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += buffer.feed(stream[:size])
        stream = stream[size:]
    assert found == [line for line in lines if line]


def test_windows_line_ends_and_blank_lines_are_dropped() -> None:
    assert LineBuffer().feed(b"a\r\n\r\n\nb\n") == [b"a", b"b"]


def test_incomplete_line_is_buffered() -> None:
    buffer = LineBuffer()
    assert buffer.feed("lé".encode()[:2]) == []
    assert buffer.feed("lé".encode()[2:] + b"\nx") == ["lé".encode()]


def test_too_long_line_is_truncated_and_the_next_one_is_intact() -> None:
    buffer = LineBuffer(limit=10)
    for _ in range(1000):
        assert buffer.feed(b"x" * 50) == []
    assert buffer.feed(b"\nnext\n") == [b"x" * 11, b"next"]
