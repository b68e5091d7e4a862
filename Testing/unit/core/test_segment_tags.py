"""What a result is said to be comes back from its tags."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsm.core.segment_tags import TAGS, Provenance, SegmentFacts, from_tags, to_tags

FACTS = SegmentFacts(
    prompt="kidneys",
    name="left kidney",
    provenance=Provenance("dsm-small", "ab" * 32, "0.2.0", "cpu"),
    score=0.876,
    threshold=0.35,
    volume_ml=151.25,
    seconds=0.125,
    notes=("One.",),
    created="2026-01-02T03:04:05+00:00",
    edited=True,
)


def test_facts_come_back() -> None:
    assert from_tags(to_tags(FACTS)) == FACTS


def test_every_tag_is_listed_and_has_a_value() -> None:
    assert set(to_tags(FACTS)) == set(TAGS)


def test_unknown_facts_have_no_tag() -> None:
    tags = to_tags(replace(FACTS, volume_ml=None, notes=(), provenance=Provenance("m")))
    assert not {"DSM.VolumeMl", "DSM.Note", "DSM.Device", "DSM.ModelSHA256"} & set(tags)


def test_a_note_is_said_once_and_cannot_end_its_tag() -> None:
    assert to_tags(replace(FACTS, notes=("a|b", "a|b", "c")))["DSM.Note"] == "a/b c"


@pytest.mark.parametrize("broken", ["", "many", "nan", "inf"])
def test_broken_numbers_are_unknown(broken: str) -> None:
    facts = from_tags(to_tags(FACTS) | {"DSM.Score": broken, "DSM.VolumeMl": broken})
    assert facts is not None
    assert (facts.score, facts.volume_ml) == (0.0, None)


def test_segment_that_a_person_drew_has_no_facts() -> None:
    assert from_tags({"Segmentation.Status": "inprogress"}) is None
