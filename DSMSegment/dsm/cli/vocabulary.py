"""`dsm vocabulary`: list and search the names of structures, and what a model knows of them."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from dsm.core.default_model import DEFAULT_MODEL
from dsm.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsm.core.name_status import NameStatus
    from dsm.core.structure import Structure


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "vocabulary",
        epilog="Example: dsm vocabulary kidney",
        parents=parents,
        help="list or search the names that DSM knows",
        description="List or search names. Those that the model has learned come first, then those that it answers in "
        "place of them, by a related name or a rule on the image; the rest has no mask, but another model may have "
        "learned it.",
    )
    parser.add_argument("word", nargs="?", default="", metavar="WORD", help="part of a name or of a synonym")
    parser.add_argument("--model", help=f"name or folder (default: {DEFAULT_MODEL}, where it is installed)")
    parser.add_argument("--kind", choices=("learned", "related", "unknown"), help="only names of this kind")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print names with their kind, code and, where a word was searched for, synonyms."""
    from dsm.core.name_status import NameKind
    from dsm.models.learned_elsewhere import model_that_learned
    from dsm.models.library import ModelLibrary
    from dsm.text.name_status import name_status
    from dsm.text.prompt import parse_prompts
    from dsm.text.vocabulary import load_vocabulary

    learned = _learned(options.model)
    vocabulary = load_vocabulary()
    found = vocabulary.search(options.word)
    if not found:
        near = ", ".join(vocabulary.suggest(options.word))
        msg = f"No name contains {options.word[:80]!r}."
        raise PromptError(msg, hint=f"Near it: {near}." if near else "`dsm vocabulary --kind learned` lists names.")
    order = list(NameKind)
    models = ModelLibrary().models()
    rows = []
    for structure in found:
        (prompt,) = parse_prompts(structure.name)
        status = name_status(prompt, learned)
        model = "" if structure.name in learned else model_that_learned(prompt, models)
        kind = NameKind.LEARNED if model else status.kind
        if options.kind in (None, kind):
            rows.append((structure, status, model))
    rows.sort(key=lambda row: order.index(NameKind.LEARNED if row[2] else row[1].kind))
    if options.json:
        print(json.dumps([_described(*row, vocabulary.foreign_names(row[0])) for row in rows], indent=1))
        return 0
    width = max((len(structure.name) for structure, *_ in rows), default=0)
    for structure, status, model in rows:
        names = (*structure.synonyms, *vocabulary.foreign_names(structure)) if options.word else ()
        synonyms = f"  ({', '.join(names)})" if names else ""
        code = structure.terminology.type
        print(f"{structure.name:{width}}  {_kind(status, model):24}  {code.scheme} {code.value:12}{synonyms}".rstrip())
    return 0


def _learned(model: str | None) -> tuple[str, ...]:
    """Return the names that a model has learned; none where the default model is not installed."""
    from dsm.errors import ModelNotFoundError
    from dsm.models.config import ModelConfig
    from dsm.models.store import find_model

    try:
        return ModelConfig.load(find_model(model or DEFAULT_MODEL)).trained
    except ModelNotFoundError:
        if model is not None:
            raise
        return ()


def _kind(status: NameStatus, model: str) -> str:
    if status.learned_name:
        return f"as {status.learned_name}"
    if status.rule:
        return f"by image: {status.rule}"
    return f"learned by {model}" if model else str(status.kind)


def _described(structure: Structure, status: NameStatus, model: str, foreign: Sequence[str]) -> dict[str, Any]:
    code = structure.terminology.type
    return {
        "name": structure.name,
        "name_kind": status.kind,
        "learned_name": status.learned_name or None,
        "rule": status.rule,
        "learned_by": model or None,
        "kind": structure.kind,
        "synonyms": list(structure.synonyms),
        "foreign_names": list(foreign),
        "hosts": list(structure.hosts),
        "laterality": structure.laterality,
        "modalities": list(structure.modalities),
        "body_region": structure.body_region,
        "code": {"value": code.value, "scheme": code.scheme, "meaning": code.meaning},
        "terminology": structure.terminology.to_tag(),
        "color": list(structure.color),
    }
