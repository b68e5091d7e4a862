"""Status of a prompt's name: learned, related or unknown."""

import pytest

from dsm.core.name_status import ImageRule, NameKind, NameStatus
from dsm.text.name_status import name_status
from dsm.text.prompt import parse_prompts

LEARNED = (
    *("liver", "spleen", "pancreas", "left kidney", "right kidney", "left lung", "right lung"),
    *("liver tumor", "brain tumor", "peritumoral edema", "soft tissue sarcoma"),
)


def status(text: str, modality: str = "", learned: tuple[str, ...] = LEARNED) -> NameStatus:
    (prompt,) = parse_prompts(text)
    return name_status(prompt, learned, modality=modality)


@pytest.mark.parametrize("text", ["liver", "Hepar", "HCC", "left kidney", "liver tumour"])
def test_learned_in_any_spelling(text: str) -> None:
    assert status(text) == NameStatus(NameKind.LEARNED)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("liver metastasis", "liver tumor"),
        ("hepatic abscess", "liver tumor"),
        ("glioblastoma", "brain tumor"),
        ("brain metastases", "brain tumor"),
        ("lipoma", "soft tissue sarcoma"),
    ],
)
def test_learned_lesion_is_used_for_other_lesions_of_the_organ(text: str, name: str) -> None:
    found = status(text)
    assert (found.kind, found.learned_name, found.rule, found.code) == (NameKind.RELATED, name, None, "name.related")
    assert name in found.text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("kidney tumor", ImageRule.ORGAN_OUTLIERS),
        ("left renal mass", ImageRule.ORGAN_OUTLIERS),
        ("pancreatic cyst", ImageRule.ORGAN_OUTLIERS),
        ("lung nodule", ImageRule.LUNG_NODULES),
        ("nodule in the left lung", ImageRule.LUNG_NODULES),
    ],
)
def test_image_rule_is_used_for_lesions_of_learned_organs(text: str, rule: ImageRule) -> None:
    found = status(text, "CT")
    assert (found.kind, found.rule, found.learned_name, found.code) == (NameKind.RELATED, rule, "", "name.rule")
    assert "Check the mask" in found.text


@pytest.mark.parametrize(
    "text",
    [
        *("xyzzy", "femur right", "aneurysm", "L1 vertebra", "tumor", "GTV", "lesion", "cyst", "stomach tumor"),
        *("head of the pancreas", "left liver", "intracranial hemorrhage", "liver hematoma", "bone metastasis"),
        *("kidney stone", "lung cyst", "mass near the liver", "right adrenal mass"),
    ],
)
def test_other_names_are_unknown(text: str) -> None:
    found = status(text, "CT")
    assert (found.kind, found.code, found.learned_name, found.rule) == (NameKind.UNKNOWN, "name.unknown", "", None)
    assert "does not know" in found.text
    assert "says nothing about the scan" in found.text


def test_lung_nodule_rule_applies_to_ct_only() -> None:
    assert status("lung tumor", "MR").kind is NameKind.UNKNOWN
    assert status("lung tumor", "").kind is NameKind.RELATED


def test_rule_requires_its_organs() -> None:
    assert status("kidney tumor", learned=("left kidney",)).kind is NameKind.UNKNOWN


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("pancrease", ("pancreas",)),
        ("head of the pancreas", ("pancreas",)),
        ("left liver", ("liver", "liver tumor")),
        ("liver hematoma", ("liver", "liver tumor")),
        ("xyzzy", ()),
        ("femur right", ()),
    ],
)
def test_suggested_names_are_learned(text: str, near: tuple[str, ...]) -> None:
    found = status(text)
    assert set(found.near[:2]) == set(near)
    assert all(name in found.text for name in near)


def test_name_learned_in_mr_only_is_unknown_in_ct() -> None:
    (prompt,) = parse_prompts("left atrium")
    found = [
        name_status(prompt, ("left atrium",), modality=modality, only_in={"MR": ("left atrium",)})
        for modality in ("CT", "MR", "")
    ]
    assert [one.kind for one in found] == [NameKind.UNKNOWN, NameKind.LEARNED, NameKind.LEARNED]
    assert found[0].code == "name.modality"
    assert "in MR only" in found[0].text


def test_lesion_learned_in_mr_only_is_not_used_in_ct() -> None:
    (prompt,) = parse_prompts("glioblastoma")
    limits = {"MR": ("brain tumor",)}
    assert name_status(prompt, LEARNED, modality="MR", only_in=limits).kind is NameKind.RELATED
    assert name_status(prompt, LEARNED, modality="CT", only_in=limits).kind is NameKind.UNKNOWN
