"""Properties of the parser over all texts and over all names."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsm.errors import PromptError
from dsm.text.prompt import MAX_BYTES, parse_prompts
from dsm.text.vocabulary import load_vocabulary
from dsm.text.words import normalise

NAMES = [structure.name for structure in load_vocabulary().structures]
WORDS = sorted({word for structure in load_vocabulary().structures for word in structure.name.split()})
PHRASES = st.lists(
    st.sampled_from([*WORDS, "left", "rt", "and", "of", "mass", "(", ")", ",", ";", "mets", "near"])
).map(" ".join)


@given(st.one_of(st.text(max_size=400), PHRASES))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_prompts_or_a_prompt_error(text: str) -> None:
    try:
        prompts = parse_prompts(text)
    except PromptError as error:
        assert error.hint
        return
    assert prompts
    assert len({prompt.name for prompt in prompts}) == len(prompts)
    for prompt in prompts:
        assert prompt.name
        assert prompt.kind in ("organ", "tumor")
        if prompt.structure:
            assert (prompt.structure.name, prompt.structure.kind) == (prompt.name, prompt.kind)
        else:
            assert prompt.warnings


@pytest.mark.parametrize("wear", [str, str.upper, str.title, " {} ".format, "the {}".format])
def test_canonical_names_are_case_insensitive(wear: Callable[[str], str]) -> None:
    for name in NAMES:
        (prompt,) = parse_prompts(wear(name))
        assert (prompt.name, prompt.warnings) == (name, ())


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
@settings(max_examples=150, deadline=None)
def test_normalising_is_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(min_size=1, max_size=40).filter(str.strip))
@settings(max_examples=50, deadline=None)
def test_ten_kilobytes_are_refused(text: str) -> None:
    long = text * (10_240 // len(text.encode("utf-8", "replace")) + 1)
    assert len(long.encode("utf-8", "replace")) > MAX_BYTES
    with pytest.raises(PromptError):
        parse_prompts(long)
