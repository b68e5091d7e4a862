"""Parser of `vocabulary.json`: paired entries become a left and a right structure, code names become codes."""

from __future__ import annotations

from typing import Any

from dsm.core.structure import GENERAL_CONTEXT, MASTER_CONTEXT, Code, Laterality, Structure, Terminology

_SIDES: tuple[Laterality, Laterality] = ("left", "right")


def read_structures(content: dict[str, Any]) -> list[Structure]:
    """Return all structures of the parsed file.

    An entry has `name`, `kind`, `synonyms`, `body_region`, `modalities`, `color`, the code names `category`, `type`
    and maybe `region`, and `context` (`"general"` or `"master"`, the Slicer list that has the type). Optional:
    `parts`, `hosts`, `host_words` and `lesion` (see `LesionIndex`), `side`, `generic`. With `"paired": true` the
    entry stands for two structures, and `left` / `right` hold synonyms of one side only.
    """
    codes = {meaning: Code(value, scheme, meaning) for meaning, (value, scheme) in content["codes"].items()}
    structures = []
    for entry in content["structures"]:
        sides = _SIDES if entry.get("paired") else (entry.get("side"),)
        structures += [_structure(entry, side, codes) for side in sides]
    return structures


def _structure(entry: dict[str, Any], side: Laterality | None, codes: dict[str, Code]) -> Structure:
    prefix = f"{side} " if entry.get("paired") else ""
    own_synonyms = entry.get(side, []) if side else []
    return Structure(
        name=prefix + entry["name"],
        kind=entry["kind"],
        synonyms=tuple([prefix + text for text in entry["synonyms"]] + own_synonyms),
        parts=tuple(prefix + text for text in entry.get("parts", [])),
        hosts=tuple(entry.get("hosts", [])),
        laterality=side,
        modalities=tuple(entry["modalities"]),
        body_region=entry["body_region"],
        terminology=_terminology(entry, side, codes),
        color=tuple(entry["color"]),
    )


def _terminology(entry: dict[str, Any], side: Laterality | None, codes: dict[str, Code]) -> Terminology:
    region = codes[entry["region"]] if "region" in entry else None
    side_code = codes[side.capitalize()] if side else None
    # A side belongs to the region if there is one ("Neoplasm in the left Breast"), else to a type that has two
    # sides; a type that is one-sided by itself ("Middle lobe of right lung") takes none.
    return Terminology(
        category=codes[entry["category"]],
        type=codes[entry["type"]],
        modifier=side_code if entry.get("paired") and region is None else None,
        region=region,
        region_modifier=side_code if region is not None else None,
        context=GENERAL_CONTEXT if entry["context"] == "general" else MASTER_CONTEXT,
    )
