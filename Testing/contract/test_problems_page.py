"""The messages that `docs/reference/problems.md` explains are messages of the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "problems.md"


def quoted() -> list[str]:
    """Return the parts between the dots of messages, which stand in italics in the first column."""
    cells = re.findall(r"^\| ([^|]*) \|", PAGE.read_text(encoding="utf-8"), re.M)
    messages = [message for cell in cells for message in re.findall(r"\*([^*]+)\*", cell)]
    return [part.strip() for message in messages for part in message.split("…") if part.strip()]


@pytest.fixture(scope="module")
def sources() -> str:
    """All sources, with texts of several lines joined."""
    files = sorted((ROOT / "DSMSegment").rglob("*.py"))
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text(encoding="utf-8") for file in files))


@pytest.mark.parametrize("part", quoted())
def test_message_exists_in_the_sources(part: str, sources: str) -> None:
    assert part in sources
