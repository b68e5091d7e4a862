import pytest

from dsm.inference.component_policy import MULTI_COMPONENT, kept_fraction
from dsm.text.prompt import parse_prompts
from dsm.text.vocabulary import load_vocabulary


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("liver", 1.0), ("left kidney", 1.0), ("aorta", 0.1), ("ribs", 0.0), ("liver tumor", 0.0), ("zorgon", 0.1)],
)
def test_kept_fraction(text, fraction):
    (prompt,) = parse_prompts(text)
    assert kept_fraction(prompt) == fraction


def test_names_are_in_the_vocabulary():
    vocabulary = load_vocabulary()
    assert [name for name in sorted(MULTI_COMPONENT) if vocabulary.get(name) is None] == []
