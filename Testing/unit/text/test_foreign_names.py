"""German, French and Spanish names in prompts."""

from pathlib import Path

import pytest

from dsm.text.foreign_names import FOREIGN_NAMES
from dsm.text.prompt import parse_prompts
from dsm.text.vocabulary import load_vocabulary


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Leber", ["liver"]),
        ("die Milz", ["spleen"]),
        ("rein gauche", ["left kidney"]),
        ("le rein droit", ["right kidney"]),
        ("les reins", ["left kidney", "right kidney"]),
        ("linke Niere", ["left kidney"]),
        ("rechte Nebenniere", ["right adrenal gland"]),
        ("riñón izquierdo", ["left kidney"]),
        ("l'estomac", ["stomach"]),
        ("pulmón derecho", ["right lung"]),
        ("veine cave inférieure", ["inferior vena cava"]),
        ("linker Vorhof", ["left atrium"]),
        ("tumeur du foie", ["liver tumor"]),
        ("Lebertumor", ["liver tumor"]),
        ("Parotis rechts", ["right parotid gland"]),
        ("Leber; bazo; foie", ["liver", "spleen"]),
        ("Leber, Milz", ["liver", "spleen"]),
    ],
)
def test_foreign_names_in_prompts(text: str, names: list[str]) -> None:
    prompts = parse_prompts(text)
    assert [prompt.name for prompt in prompts] == names
    assert all(prompt.structure is not None for prompt in prompts)


@pytest.mark.parametrize("text", ["Leber links", "Leberlappen", "tête du pancréas", "vessie gauche", "Kopf der Leber"])
def test_unknown_foreign_text_is_kept_as_free_text(text: str) -> None:
    (prompt,) = parse_prompts(text)
    assert prompt.structure is None


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_all_foreign_names_map_to_their_structure(name: str) -> None:
    vocabulary = load_vocabulary()
    pair = [f"{side} {name}" for side in ("left", "right") if vocabulary.get(f"{side} {name}")]
    for text in FOREIGN_NAMES[name]:
        assert [prompt.name for prompt in parse_prompts(text)] == ([name] if vocabulary.get(name) else pair), text


def test_documentation_states_the_number_of_foreign_names() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "problems.md"
    assert f"\n{len(FOREIGN_NAMES)} structures " in page.read_text(encoding="utf-8")
