"""Names that the prompt box offers, with the kind that they are for the models."""

from __future__ import annotations

from pathlib import Path

from dsm.models.store import model_entry
from dsm.text.vocabulary import load_vocabulary
from DSMSegmentWeb.completions import completions


def test_names_of_another_model_that_segments_them_are_learned(body_model: Path) -> None:
    entry = model_entry(body_model)
    offered = completions(("liver",), "CT", (entry,), (entry,))
    said = {one["title"]: one["props"]["aria-description"] for one in offered}
    assert said["sternum"] == "learned by dsm-body"
    assert said["liver"] == "learned"
    assert said["spleen"] == "not known to this model"
    assert {one["title"] for one in offered[:3]} == {"liver", "sternum", "skull"}


def test_model_that_has_to_be_chosen_is_named(body_model: Path) -> None:
    offered = completions(("liver",), "CT", (model_entry(body_model),))
    said = {one["title"]: one["props"]["aria-description"] for one in offered}
    assert said["sternum"] == "not known to this model; dsm-body has learned it"


def test_each_name_has_those_of_the_other_languages() -> None:
    vocabulary = load_vocabulary()
    names = {one["value"]: one["names"] for one in completions((), "")}
    assert names["liver"] == ["Leber", "foie", "hígado"]
    for name in ("left kidney", "right kidney"):
        assert names[name] == list(vocabulary.foreign_names(vocabulary.get(name)))
        assert "Niere" in names[name]
