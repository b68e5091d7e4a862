"""German, French and Spanish names in prompts."""

import re
from pathlib import Path

import pytest

from dsm.errors import PromptError
from dsm.models.config import ModelConfig
from dsm.text.foreign_names import LANGUAGES, foreign_table, in_english
from dsm.text.prompt import parse_prompts
from dsm.text.vocabulary import load_vocabulary
from dsm.text.words import normalise, without_accents

ROOT = Path(__file__).parents[3]
# English words as well, which name nothing in a body. Where one of them is all that was typed, it is the foreign name.
HOMOGRAPHS = {
    *("rate", "rates", "rein", "reins", "dent", "dents", "crane", "cote", "trapeze", "bassinet", "langue", "visage"),
    *("lunge", "liquor", "hals", "krebs", "radio", "recto", "mama", "cara"),
}
NUMBERS = {"C#": (1, 7), "T#": (1, 12), "L#": (1, 5), "S#": (1, 1), "rib": (1, 12)}


def names_in(language: str) -> list[tuple[str, tuple[str, ...]]]:
    """Each name of a language with its spellings and the English name; "#" is a number that exists."""
    column = LANGUAGES.index(language)
    return [
        (english.replace("#", "1"), tuple(one.replace("#", "1") for one in spellings))
        for english, columns in foreign_table().items()
        for spellings in columns[column]
    ]


EVERY = [(language, *pair) for language in LANGUAGES for pair in names_in(language)]


def names_of(text: str) -> list[str]:
    return [prompt.name for prompt in parse_prompts(text)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_150_names_of_each_language_resolve_to_a_structure(language: str) -> None:
    vocabulary = load_vocabulary()
    structures = [english for english, _ in names_in(language) if not vocabulary.is_part(english)]
    assert len(structures) >= 300
    assert len(set(structures)) >= 200
    assert all(vocabulary.find_all(english) for english in structures)


@pytest.mark.parametrize("english", sorted({english for _, english, _ in EVERY}))
def test_every_spelling_is_read_as_its_english_name(english: str) -> None:
    vocabulary = load_vocabulary()
    for _, _, spellings in (one for one in EVERY if one[1] == english):
        for text in {form for one in spellings for form in (one, one.upper(), without_accents(one), f"  {one} ")}:
            if vocabulary.is_part(english):
                (prompt,) = parse_prompts(text)
                assert (prompt.structure, prompt.suggestions) == (None, parse_prompts(english)[0].suggestions), text
            else:
                assert names_of(text) == names_of(english), text


def test_the_table_covers_what_the_models_have_learned() -> None:
    folders = (ROOT / "model_weights" / name for name in ("dsm-small", "dsm-head-heart", "dsm-brain"))
    learned = {name for folder in folders for name in ModelConfig.load(folder).trained}
    vocabulary = load_vocabulary()
    named = {found.name for english in foreign_table() for found in vocabulary.find_all(english.replace("#", "1"))}
    assert learned - {"left putamen", "right putamen"} <= named  # one word in all four languages


def test_no_two_lines_claim_a_spelling() -> None:
    claims: dict[str, set[str]] = {}
    for _, english, spellings in EVERY:
        for text in spellings:
            claims.setdefault(" ".join(sorted(normalise(text).split())), set()).add(english)
    assert {text: lines for text, lines in claims.items() if len(lines) > 1} == {}


def test_nothing_is_listed_that_reads_the_same_in_english() -> None:
    vocabulary = load_vocabulary()
    same = [
        spellings
        for _, english, spellings in EVERY
        if english == english.replace("1", "#") and all(vocabulary.find_english(text) for text in spellings)
    ]
    assert same == [("aurícula izquierda",)]  # which is not what Latin calls so


class TestEnglishGoesFirst:
    def test_names_synonyms_and_parts_are_read_as_before(self) -> None:
        vocabulary = load_vocabulary()
        for structure in vocabulary.structures:
            for text in (structure.name, *structure.synonyms):
                assert structure in vocabulary.find_all(text), text
                assert vocabulary.find_all(text) == vocabulary.find_english(text), text

    def test_no_word_of_the_documentation_names_a_structure_of_another_language(self) -> None:
        pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
        text = " ".join(page.read_text(encoding="utf-8") for page in pages if page.name != "problems.md")
        words = set(re.findall(r"[a-z]{2,}", text))
        assert len(words) > 3000
        vocabulary = load_vocabulary()
        foreign = {word for word in words if in_english(word) and not vocabulary.find_english(word)}
        assert foreign <= HOMOGRAPHS

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "heart rate",
                "flow rate",
                "rate of growth",
                "free rein",
                "dent in the skull",
                "lunge position",
                "krebs cycle",
            ),
            *("crane fly", "trapeze artist", "radio signal", "left over", "die hard", "liquor store", "mama bear"),
            *("segment 4a", "liver segment 2e", "the first", "first and second", "second opinion", "premier league"),
            *("vitamin e", "hepatitis e", "y-shaped stent", "type 1a", "recto verso", "corps", "after"),
        ],
    )
    def test_english_text_is_not_taken_for_another_language(self, text: str) -> None:
        assert all(prompt.structure is None for prompt in parse_prompts(text))

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("LA", ["left atrium"]),
            ("head", ["head"]),
            ("face", ["face"]),
            ("colon", ["colon"]),
            ("dens", ["tooth"]),
            ("LE", ["pulmonary embolism"]),
            ("auricula sinistra", ["left atrial appendage"]),
        ],
    )
    def test_short_and_latin_names_keep_their_meaning(self, text: str, names: list[str]) -> None:
        assert names_of(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Leber", ["liver"]),
        ("die Milz", ["spleen"]),
        ("rate", ["spleen"]),
        ("l'estomac", ["stomach"]),
        ("veine cave inférieure", ["inferior vena cava"]),
        ("tumeur du foie", ["liver tumor"]),
        ("cáncer de próstata", ["prostate tumor"]),
        ("Speiseroehre", ["esophagus"]),
        ("oesophage", ["esophagus"]),
        ("Leber-Metastasen", ["liver metastasis"]),
        ("sternocléidomastoïdien gauche", ["left sternocleidomastoid muscle"]),
        ("Leber; bazo; foie", ["liver", "spleen"]),
        ("Leber, Milz", ["liver", "spleen"]),
        ("Leber und Milz", ["liver", "spleen"]),
        ("Leber, Milz und linke Niere", ["liver", "spleen", "left kidney"]),
        ("le foie et la rate", ["liver", "spleen"]),
        ("hígado y bazo", ["liver", "spleen"]),
        ("bazo e hígado", ["spleen", "liver"]),
        ("Pfortader und Milzvene", ["portal vein and splenic vein"]),
        ("tumeur de la tête et du cou", ["head and neck tumor"]),
    ],
)
def test_prompts_as_they_are_typed(text: str, names: list[str]) -> None:
    prompts = parse_prompts(text)
    assert [prompt.name for prompt in prompts] == names
    assert all(prompt.structure is not None for prompt in prompts)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "linke Niere",
            "linker Niere",
            "linken Niere",
            "Niere links",
            "Die linke Niere",
            "NIERE LINKS",
            "linksseitige Niere",
        ),
        *("rein gauche", "le rein gauche", "REIN GAUCHE"),
        *("riñón izquierdo", "rinon izquierdo", "el riñón izquierdo", "riñón izq."),
    ],
)
def test_left_in_each_form(text: str) -> None:
    assert names_of(text) == ["left kidney"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("rechtes Schulterblatt", "right scapula"), ("Parotis rechts", "right parotid gland")),
        *(("glande surrénale droite", "right adrenal gland"), ("poumon droit", "right lung")),
        *(("escápula derecha", "right scapula"), ("pulmón derecho", "right lung")),
        *(("rechter Vorhof", "right atrium"), ("Vorhof rechts", "right atrium"), ("oreillette droite", "right atrium")),
        *(("rechter Oberlappen", "right lung upper lobe"), ("Mittellappen", "right lung middle lobe")),
        *(("lobe inférieur droit", "right lung lower lobe"), ("lóbulo superior derecho", "right lung upper lobe")),
        *(("Nierenzyste rechts", "right kidney cyst"), ("tumeur du rein droit", "right kidney tumor")),
        ("aurícula derecha", "right atrium"),
    ],
)
def test_right_in_each_form(text: str, name: str) -> None:
    assert names_of(text) == [name]


@pytest.mark.parametrize("text", ["beide Nieren", "Nieren beidseits", "les deux reins", "los riñones", "ambos riñones"])
def test_both_sides(text: str) -> None:
    assert names_of(text) == ["left kidney", "right kidney"]


def test_a_foreign_side_word_tells_the_language_of_the_rest() -> None:
    assert names_of("aurícula izquierda") == ["left atrium"]
    assert names_of("auricule gauche") == ["left atrial appendage"]
    assert names_of("Femur links") == ["left femur"]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "L3-Wirbel",
            "3. Lendenwirbel",
            "dritter Lendenwirbel",
            "der dritte Lendenwirbel",
            "LWK 3",
            "LWK3",
            "Lendenwirbel 3",
        ),
        *("vertèbre L3", "la troisième vertèbre lombaire", "3e vertèbre lombaire", "3ème vertèbre lombaire"),
        *("vértebra L3", "tercera vértebra lumbar", "3ª vértebra lumbar", "3.ª vértebra lumbar", "vértebra lumbar 3"),
    ],
)
def test_numbered_vertebra(text: str) -> None:
    assert names_of(text) == ["L3 vertebra"]


@pytest.mark.parametrize(("key", "limits"), NUMBERS.items())
def test_every_number_that_exists_and_no_other(key: str, limits: tuple[int, int]) -> None:
    (line,) = [line for line in foreign_table() if line.startswith(key) and "#" in line]
    for number in range(limits[0], limits[1] + 1):
        for spellings in (one for column in foreign_table()[line] for one in column):
            for text in spellings:
                english = line.replace("#", str(number))
                assert names_of(text.replace("#", str(number))) == names_of(english), (text, number)
    (beyond,) = parse_prompts(foreign_table()[line][0][0][0].replace("#", str(limits[1] + 1)))
    assert beyond.structure is None


def test_ordinals_in_words() -> None:
    german = "erste zweite dritte vierte fünfte sechste siebte achte neunte zehnte elfte zwölfte"
    french = (
        "première deuxième troisième quatrième cinquième sixième septième huitième neuvième dixième onzième douzième"
    )
    spanish = "primera segunda tercera cuarta quinta sexta séptima octava novena décima undécima duodécima"
    for words, rib in ((german, "Rippe links"), (french, "côte gauche"), (spanish, "costilla izquierda")):
        for number, word in enumerate(words.split(), start=1):
            assert names_of(f"{word} {rib}") == [f"left rib {number}"], word


@pytest.mark.parametrize(
    "text",
    [
        "Leber links",
        "Leberlappen",
        "tête du pancréas",
        "vessie gauche",
        "Kopf der Leber",
        "Lebertumor links",
        "Pfortader",
    ],
)
def test_what_is_not_a_whole_structure_gets_no_mask(text: str) -> None:
    (prompt,) = parse_prompts(text)
    assert prompt.structure is None


def test_a_part_names_its_whole() -> None:
    (prompt,) = parse_prompts("Pfortader")
    assert prompt.suggestions == ("portal vein and splenic vein",)


@pytest.mark.parametrize("text", ["Leber ohne Milz", "foie sans la rate", "hígado sin bazo", "keine Niere"])
def test_negations_are_refused(text: str) -> None:
    with pytest.raises(PromptError, match="not wanted"):
        parse_prompts(text)


def test_reading_is_the_english_name_of_a_foreign_one_only() -> None:
    vocabulary = load_vocabulary()
    assert vocabulary.reading("linke Niere") == "left kidney"
    assert vocabulary.reading("Vorhof") == "left atrium and right atrium"
    assert vocabulary.reading("Pfortader") == "portal vein"
    assert [vocabulary.reading(text) for text in ("left kidney", "IVC", "parotis", "no such name", "")] == [""] * 5


def test_completion_and_search_know_foreign_names() -> None:
    vocabulary = load_vocabulary()
    assert vocabulary.complete("Leb") == ["liver", *vocabulary.complete("Leb")[1:]]
    assert "esophagus" in vocabulary.complete("oesophag")
    assert "left kidney" in vocabulary.complete("rin")
    assert "left kidney" in [structure.name for structure in vocabulary.search("Nieren")]


def test_foreign_names_of_a_structure_have_its_number() -> None:
    vocabulary = load_vocabulary()
    names = {structure.name: vocabulary.foreign_names(structure) for structure in vocabulary.structures}
    assert {"3. Lendenwirbel", "LWK3", "vertèbre L3"} <= set(names["L3 vertebra"])
    assert "12. Rippe" in names["left rib 12"]
    assert names["spleen"] == ("Milz", "rate", "bazo")
    assert not any("#" in text for texts in names.values() for text in texts)
    assert "Lendenwirbel" not in " ".join(names["vertebra"])


def test_documentation_states_the_number_of_foreign_names() -> None:
    page = (ROOT / "docs" / "reference" / "problems.md").read_text(encoding="utf-8")
    assert f"\n{len(foreign_table())} structures " in page
    for language in LANGUAGES:
        assert f"| {language} | {len(names_in(language))} |" in page
