"""Completeness, uniqueness and look-up of the vocabulary."""

from collections import defaultdict

import pytest

from dsm.text.organ_sets import FIRST_NAMES, ORGANS, TUMORS
from dsm.text.vocabulary import Vocabulary, load_vocabulary
from dsm.text.words import key, normalise, split_side

# Class names of the total task of TotalSegmentator 2.
SIDED = [
    "kidney",
    "adrenal_gland",
    "lung_upper_lobe",
    "lung_lower_lobe",
    "kidney_cyst",
    "subclavian_artery",
    "common_carotid_artery",
    "brachiocephalic_vein",
    "iliac_artery",
    "iliac_vena",
    "humerus",
    "scapula",
    "clavicula",
    "femur",
    "hip",
    "gluteus_maximus",
    "gluteus_medius",
    "gluteus_minimus",
    "autochthon",
    "iliopsoas",
]
SINGLE = [
    "spleen",
    "gallbladder",
    "liver",
    "stomach",
    "pancreas",
    "lung_middle_lobe_right",
    "esophagus",
    "trachea",
    "thyroid_gland",
    "small_bowel",
    "duodenum",
    "colon",
    "urinary_bladder",
    "prostate",
    "sacrum",
    "heart",
    "aorta",
    "pulmonary_vein",
    "brachiocephalic_trunk",
    "atrial_appendage_left",
    "superior_vena_cava",
    "inferior_vena_cava",
    "portal_vein_and_splenic_vein",
    "spinal_cord",
    "brain",
    "skull",
    "sternum",
    "costal_cartilages",
]
VERTEBRAE = [f"vertebrae_{p}{n}" for p, last in (("C", 7), ("T", 12), ("L", 5)) for n in range(1, last + 1)]
TOTAL = [
    *SINGLE,
    *VERTEBRAE,
    "vertebrae_S1",
    *(f"{name}_{side}" for name in SIDED for side in ("left", "right")),
    *(f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)),
]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary()


def test_all_totalsegmentator_classes_are_included(vocabulary: Vocabulary) -> None:
    assert len(TOTAL) == 117
    found = {name: vocabulary.find(name) for name in TOTAL}
    assert [name for name, structure in found.items() if structure is None] == []
    assert len({structure.name for structure in found.values() if structure}) == 117


def test_names_of_the_paper_and_of_the_first_bank_are_included(vocabulary: Vocabulary) -> None:
    assert (len(ORGANS), len(TUMORS)) == (25, 20)
    assert [name for name in FIRST_NAMES if vocabulary.get(name) is None] == []
    assert {vocabulary.get(name).kind for name in ORGANS} == {"organ"}  # type: ignore[union-attr]
    assert {vocabulary.get(name).kind for name in TUMORS} == {"tumor"}  # type: ignore[union-attr]


def test_no_spelling_belongs_to_two_structures(vocabulary: Vocabulary) -> None:
    owners = defaultdict(set)
    for structure in vocabulary.structures:
        for text in (structure.name, *structure.synonyms, *structure.parts):
            side, rest = split_side(normalise(text).split())
            owners[side, key(rest)].add(structure.name)
    assert {k: names for k, names in owners.items() if len(names) > 1} == {}


def test_every_name_and_synonym_finds_its_structure(vocabulary: Vocabulary) -> None:
    wrong = [
        text
        for structure in vocabulary.structures
        for text in (structure.name, *structure.synonyms, *structure.parts)
        if vocabulary.find(text) is not structure
    ]
    assert wrong == []


def test_entries_are_consistent(vocabulary: Vocabulary) -> None:
    names = [structure.name for structure in vocabulary.structures]
    assert len(set(names)) == len(names)
    for structure in vocabulary.structures:
        assert structure.name == " ".join(structure.name.split())
        assert set(structure.modalities) <= {"CT", "MR"}
        assert structure.modalities
        assert len(structure.color) == 3
        assert all(0 <= part <= 255 for part in structure.color)
        assert all(vocabulary.get(host) for host in structure.hosts), structure.name
        first = structure.name.split()[0]
        assert structure.laterality == (first if first in ("left", "right") else None), structure.name
        if structure.hosts:
            assert structure.kind == "tumor", structure.name


def test_get_requires_the_exact_name(vocabulary: Vocabulary) -> None:
    assert vocabulary.get("liver").name == "liver"  # type: ignore[union-attr]
    assert vocabulary.get("Liver") is None
    assert vocabulary.find("Liver").name == "liver"  # type: ignore[union-attr]


def test_find_returns_none_for_paired_and_unknown_names(vocabulary: Vocabulary) -> None:
    assert vocabulary.find("kidneys") is None
    assert [s.name for s in vocabulary.find_all("kidneys")] == ["left kidney", "right kidney"]
    assert vocabulary.find("pizza") is None
    assert vocabulary.find("") is None


def test_one_sided_structure_is_not_found_on_the_other_side(vocabulary: Vocabulary) -> None:
    assert vocabulary.find("RML").name == "right lung middle lobe"  # type: ignore[union-attr]
    assert vocabulary.find("left middle lobe") is None


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("pancrease", "pancreas"),
        ("gallblader", "gallbladder"),
        ("kidny tumor", "kidney tumor"),
        ("lefft kidney", "left kidney"),
        ("abdominal aorrta", "aorta"),
        ("hepatik lesion", "liver tumor"),
    ],
)
def test_typos_give_suggestions(vocabulary: Vocabulary, typo: str, meant: str) -> None:
    assert meant in vocabulary.suggest(typo)


def test_nonsense_gives_no_suggestion(vocabulary: Vocabulary) -> None:
    assert vocabulary.suggest("quarterly report 2024") == []
    assert vocabulary.suggest("") == []


def test_search_includes_synonyms(vocabulary: Vocabulary) -> None:
    assert "liver tumor" in [structure.name for structure in vocabulary.search("hepatocellular")]
    assert len(vocabulary.search("")) == len(vocabulary.structures)


def test_complete_prefers_names_with_the_prefix(vocabulary: Vocabulary) -> None:
    assert vocabulary.complete("Liv")[0] == "liver"
    assert "liver tumor" in vocabulary.complete("hepatoc")
    assert len(vocabulary.complete("", limit=5)) == 5
