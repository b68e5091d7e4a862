"""Round trip of results through segment tags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.core.click import Click
from dsm.core.name_status import ResultSource
from dsm.core.result import PromptResult
from dsm.core.segment_tags import ACCEPTED_TAG, EDITED_TAG, TAGS, Provenance, SegmentFacts, from_tags, to_tags
from dsm.text.prompt import parse_prompts

FACTS = SegmentFacts(
    prompt="kidneys",
    name="left kidney",
    provenance=Provenance("dsm-small", "ab" * 32, "0.2.0", "cpu"),
    score=0.876,
    threshold=0.35,
    volume_ml=151.25,
    seconds=0.125,
    notes=("One.",),
    source=ResultSource.IMAGE_RULE,
    clicks=(Click((12.5, -30.0, 88.25)), Click((1000.12, 0.0, -0.5), inside=False)),
    created="2026-01-02T03:04:05+00:00",
    edited=True,
)


def test_facts_round_trip() -> None:
    assert from_tags(to_tags(FACTS)) == FACTS


def test_all_tags_are_listed() -> None:
    assert {*to_tags(FACTS), EDITED_TAG, ACCEPTED_TAG} == set(TAGS), "what a person does is tagged later"


def test_unknown_facts_have_no_tag() -> None:
    tags = to_tags(replace(FACTS, score=None, volume_ml=None, notes=(), provenance=Provenance("m")))
    assert not {"DSM.Score", "DSM.VolumeMl", "DSM.Note", "DSM.Device", "DSM.ModelSHA256"} & set(tags)


def test_notes_are_deduplicated_and_escaped() -> None:
    assert to_tags(replace(FACTS, notes=("a|b", "a|b", "c")))["DSM.Note"] == "a/b c"


@pytest.mark.parametrize("broken", ["", "many", "nan", "inf"])
def test_invalid_numbers_are_read_as_unknown(broken: str) -> None:
    facts = from_tags(to_tags(FACTS) | {"DSM.Score": broken, "DSM.VolumeMl": broken})
    assert facts is not None
    assert (facts.score, facts.volume_ml) == (None, None)


def test_former_tag_of_the_source_is_read() -> None:
    tags = to_tags(FACTS)
    assert tags.pop("DSM.Source") == "image rule"
    facts = from_tags(tags | {"DSM.Answer": "guess"})
    assert facts is not None
    assert facts.source is ResultSource.GUESS


@pytest.mark.parametrize("said", ["", "oracle"])
def test_result_of_an_unknown_source_counts_as_learned(said: str) -> None:
    facts = from_tags(to_tags(FACTS) | {"DSM.Source": said})
    assert facts is not None
    assert facts.source is ResultSource.LEARNED


def test_manually_drawn_segment_has_no_facts() -> None:
    assert from_tags({"Segmentation.Status": "inprogress"}) is None


def test_a_clicked_segment_is_semiautomatic() -> None:
    clicked = replace(FACTS, edited=False)
    assert to_tags(clicked)["DICOM.SegmentAlgorithmType"] == "SEMIAUTOMATIC"
    assert to_tags(replace(clicked, clicks=()))["DICOM.SegmentAlgorithmType"] == "AUTOMATIC"


@pytest.mark.parametrize("broken", ["inside 1 2", "near 1 2 3", "inside 1 2 x", "inside 1 2 nan", ";", " "])
def test_invalid_clicks_are_ignored(broken: str) -> None:
    facts = from_tags(to_tags(FACTS) | {"DSM.Clicks": broken})
    assert facts is not None
    assert facts.clicks == ()


def test_facts_of_a_result() -> None:
    prompt = replace(parse_prompts("the Livers")[0], warnings=("One.", "Two."), clicks=FACTS.clicks)
    result = PromptResult(
        prompt=prompt,
        mask=CroppedArray(np.zeros((0, 0, 0), np.uint8), (0, 0, 0)),
        shape=(4, 4, 4),
        found=True,
        score=None,
        volume_ml=151.25,
        seconds=0.125,
        threshold=0.35,
        warnings=("Two.", "Three."),
    )
    facts = SegmentFacts.of(result, FACTS.provenance)
    expected = {"prompt": "the Livers", "name": "liver", "score": None, "notes": ("One.", "Two.", "Three.")}
    assert facts == replace(FACTS, **expected, source=ResultSource.CLICK, created="", edited=False)
    by_name = replace(result, prompt=replace(prompt, clicks=()))
    assert [SegmentFacts.of(by_name, FACTS.provenance, edited=hand).edited for hand in (False, True)] == [False, True]
    of_other = SegmentFacts.of(replace(result, model="dsm-body", model_sha256="ab"), FACTS.provenance)
    assert of_other.provenance == replace(FACTS.provenance, model="dsm-body", model_sha256="ab")


def test_guess_is_one_where_the_tag_of_the_source_once_named_a_volume() -> None:
    facts = from_tags(to_tags(FACTS) | {"DSM.Source": "DSMSegment.Volume.1", "DSM.Answer": "guess"})
    assert facts is not None
    assert facts.source is ResultSource.GUESS
