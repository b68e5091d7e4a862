"""A segment is known by its tags, whatever it is called."""

from __future__ import annotations

import pytest
import slicer

from DSMSegmentLib.scene.segment_tags import promptOf


def segment(name: str, **tags: str) -> slicer.vtkSegment:
    made = slicer.vtkSegment()
    made.SetName(name)
    for tag, value in tags.items():
        made.SetTag(f"DSM.{tag}", value)
    return made


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        ("mine", {"Prompt": "kidneys", "Name": "right kidney"}, "right kidney"),
        ("liver_1", {"Prompt": "liver", "Name": "liver"}, "liver"),
        # Scenes of before the name was kept.
        ("right kidney_2", {"Prompt": "kidneys"}, "right kidney"),
        ("renamed", {"Prompt": "kidneys"}, "left kidney"),
    ],
)
def test_prompt_is_known_by_tags(name: str, tags: dict[str, str], expected: str) -> None:
    prompt = promptOf(segment(name, **tags))
    assert prompt is not None
    assert prompt.name == expected
    assert prompt.canonical_text == expected


def test_free_text_is_asked_as_it_was_typed() -> None:
    prompt = promptOf(segment("strange thing", Prompt="The strange things"))
    assert prompt is not None
    assert prompt.canonical_text == "The strange things"


@pytest.mark.parametrize("tags", [{}, {"Prompt": "?!"}])
def test_segment_of_a_person_has_none(tags: dict[str, str]) -> None:
    assert promptOf(segment("liver", **tags)) is None
