"""`dsm vocabulary`: list and search the names of structures."""

from __future__ import annotations

import argparse
import json
from typing import Any

from dsm.errors import PromptError


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("vocabulary", parents=parents, help="list or search the names that DSM knows")
    parser.add_argument("word", nargs="?", default="", metavar="WORD", help="part of a name or of a synonym")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print names, with synonyms where a word was searched for."""
    from dsm.text.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    found = vocabulary.search(options.word)
    if not found:
        near = ", ".join(vocabulary.suggest(options.word))
        msg = f"No name contains {options.word[:80]!r}."
        raise PromptError(msg, hint=f"Near it: {near}." if near else "Any words can be a prompt all the same.")
    if options.json:
        print(json.dumps([_described(structure) for structure in found], indent=1, ensure_ascii=False))
        return 0
    for structure in found:
        synonyms = f" ({', '.join(structure.synonyms)})" if options.word and structure.synonyms else ""
        print(f"{structure.name}{synonyms}")
    return 0


def _described(structure: Any) -> dict[str, Any]:
    code = structure.terminology.type
    return {
        "name": structure.name,
        "kind": structure.kind,
        "synonyms": list(structure.synonyms),
        "hosts": list(structure.hosts),
        "laterality": structure.laterality,
        "modalities": list(structure.modalities),
        "body_region": structure.body_region,
        "code": {"value": code.value, "scheme": code.scheme, "meaning": code.meaning},
        "terminology": structure.terminology.to_tag(),
        "color": list(structure.color),
    }
