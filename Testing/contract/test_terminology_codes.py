"""Terminology codes are those of pydicom's dictionaries or Slicer's terminologies, with the same meaning."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsm.text.vocabulary import Code, Structure, load_vocabulary

STRUCTURES = load_vocabulary().structures


def _codes_in(node: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(node, dict):
        if "CodeValue" in node:
            yield node["CodeValue"], node["CodingSchemeDesignator"], node["CodeMeaning"]
        for child in node.values():
            yield from _codes_in(child)
    elif isinstance(node, list):
        for child in node:
            yield from _codes_in(child)


@pytest.fixture(scope="module")
def terminologies() -> dict[str, dict[str, Any]]:
    """Slicer's terminology files by file name."""
    package = pytest.importorskip("importlib.util").find_spec("trame_slicer")
    if package is None:
        pytest.skip("Slicer's terminologies come with trame-slicer, which is not installed")
    folder = Path(package.origin).parent / "resources" / "terminologies"
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.term.json")}


@pytest.fixture(scope="module")
def known(terminologies: dict[str, dict[str, Any]]) -> set[tuple[str, str, str]]:
    """(value, scheme, meaning) of every code of pydicom and Slicer."""
    concepts = pytest.importorskip("pydicom.sr._concepts_dict").concepts
    pydicom = {
        (value, scheme, meaning)
        for scheme, words in concepts.items()
        for codes in words.values()
        for value, (meaning, _) in codes.items()
    }
    return pydicom | set(_codes_in(list(terminologies.values())))


def _codes(structure: Structure) -> list[Code]:
    entry = structure.terminology
    codes = (entry.category, entry.type, entry.modifier, entry.region, entry.region_modifier)
    return [code for code in codes if code is not None]


def test_codes_have_their_standard_meaning(known: set[tuple[str, str, str]]) -> None:
    used = {(code.value, code.scheme, code.meaning) for structure in STRUCTURES for code in _codes(structure)}
    assert len(used) > 150
    assert used - known == set()


def test_context_lists_the_type(terminologies: dict[str, dict[str, Any]]) -> None:
    """The context that a tag names has its category and, for Slicer's own list, its type and modifier too."""
    lists = {
        content["SegmentationCategoryTypeContextName"]: {
            category["CodeValue"]: {
                kind["CodeValue"]: {modifier["CodeValue"] for modifier in kind.get("Modifier", [])}
                for kind in category["Type"]
            }
            for category in content["SegmentationCodes"]["Category"]
        }
        for content in terminologies.values()
        if "SegmentationCodes" in content
    }
    for structure in STRUCTURES:
        entry = structure.terminology
        types = lists[entry.context][entry.category.value]
        if "General Anatomy" in entry.context:
            assert entry.type.value in types, structure.name
            assert entry.modifier is None or entry.modifier.value in types[entry.type.value], structure.name


def test_laterality_matches_the_name() -> None:
    for structure in STRUCTURES:
        entry = structure.terminology
        for modifier in (entry.modifier, entry.region_modifier):
            if modifier is not None:
                assert modifier.meaning.casefold() == structure.laterality
                assert structure.name.startswith(f"{structure.laterality} ")


def test_lesions_are_abnormal_and_organs_are_not() -> None:
    for structure in STRUCTURES:
        abnormal = structure.terminology.category.meaning == "Morphologically Altered Structure"
        if structure.kind == "organ":
            assert not abnormal, structure.name
        elif structure.name not in ("thrombus", "head and neck radiotherapy target"):
            assert abnormal, structure.name


def test_tag_matches_slicer() -> None:
    """Against the segmentation that Slicer itself saved and slicerio ships."""
    slicerio = pytest.importorskip("slicerio")
    path = Path(slicerio.__file__).parent / "data" / "Segmentation.seg.nrrd"
    header = path.read_bytes().split(b"\n\n", 1)[0].decode("utf-8", "replace")
    names = {
        "ribs": "ribs",
        "cervical vertebral column": "cervical spine",
        "thoracic vertebral column": "thoracic spine",
    }
    names |= {"lumbar vertebral column": "lumbar spine", "right lung": "right lung", "left lung": "left lung"}
    fields = dict(line.split(":=", 1) for line in header.splitlines() if ":=" in line)
    compared = 0
    for number in range(7):
        name = names.get(fields[f"Segment{number}_Name"].strip())
        if name is None:
            continue
        tags = dict(tag.split(":", 1) for tag in fields[f"Segment{number}_Tags"].strip().split("|") if tag)
        structure = load_vocabulary().get(name)
        assert structure is not None
        assert structure.terminology.to_tag() == tags["TerminologyEntry"]
        compared += 1
    assert compared == 6


def test_tags_round_trip_in_slicer() -> None:
    slicer = pytest.importorskip("slicer")
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    for structure in STRUCTURES:
        tag = structure.terminology.to_tag()
        entry = slicer.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(tag, entry), structure.name
        assert entry.GetTypeObject().GetCodeMeaning() == structure.terminology.type.meaning
        assert logic.SerializeTerminologyEntry(entry) == tag


def test_slicer_labels_map_to_the_structure_of_their_code(terminologies: dict[str, dict[str, Any]]) -> None:
    """Slicer's own segment labels are an alias list that somebody else wrote: 94 of them, all found."""
    by_code: dict[tuple[str, str | None], list[str]] = {}
    for structure in STRUCTURES:
        entry = structure.terminology
        if entry.region is None and entry.category.meaning == "Anatomical Structure":
            modifier = entry.modifier.value if entry.modifier else None
            by_code.setdefault((entry.type.value, modifier), []).append(structure.name)
    wrong, right = [], 0
    for category in terminologies["SegmentationCategoryTypeModifier-SlicerGeneralAnatomy.term.json"][
        "SegmentationCodes"
    ]["Category"]:
        for kind in category["Type"]:
            for modifier in [None, *kind.get("Modifier", [])]:
                label = (modifier or kind).get("3dSlicerLabel")
                names = by_code.get((kind["CodeValue"], modifier["CodeValue"] if modifier else None), [])
                if label and len(names) == 1:
                    found = load_vocabulary().find(label)
                    right += found is not None and found.name == names[0]
                    wrong += [] if found is not None and found.name == names[0] else [label]
    assert wrong == []
    assert right >= 90
