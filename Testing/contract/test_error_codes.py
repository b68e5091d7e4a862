"""Every error code stands in the registry, and every code of the registry is used."""

from __future__ import annotations

import ast
import importlib.util
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsm import errors
from dsm.client.connection import _DIAGNOSES
from dsm.core.error_codes import ERROR_CODES, error_code, make_error
from dsm.errors import DSMError, GeometryError, JobCancelled, WorkerError

ROOT = Path(__file__).parents[2]
REGISTRY = ROOT / "DSMSegment" / "dsm" / "core" / "error_codes.py"
# `code` is the code of something else in these calls.
NOT_ERRORS = {"Finding", "NameStatus"}


def sources() -> list[ast.Module]:
    paths = sorted((ROOT / "DSMSegment").rglob("*.py"))
    return [ast.parse(path.read_text(encoding="utf-8")) for path in paths if path != REGISTRY]


def called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def literals(node: ast.AST) -> list[str]:
    return [leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)]


def of_call(call: ast.Call) -> Iterator[tuple[str, str]]:
    """The codes that a call gives, and its name."""
    for keyword in call.keywords:
        if keyword.arg == "code" and called(call) not in NOT_ERRORS:
            value = keyword.value
            branches = (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,)
            yield from ((branch.value, called(call)) for branch in branches if isinstance(branch, ast.Constant))
    if called(call) == "error_event":
        yield from ((code, "") for code in literals(call.args[0]))


def of_class(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The code that a class of errors has by default, and its name."""
    for statement in definition.body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "code":
            yield literals(statement.value)[0], definition.name


def used_codes() -> dict[str, set[str]]:
    """Each code that is written somewhere, and the classes of the errors that have it."""
    found = [(code, "RemoteError") for _, code, *_ in _DIAGNOSES]
    for tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found += of_call(node)
            elif isinstance(node, ast.ClassDef) and node.name.endswith(("Error", "Cancelled")):
                found += of_class(node)
    used: dict[str, set[str]] = defaultdict(set)
    for code, name in found:
        used[code].add(name)
    return used


def test_every_code_is_in_the_registry() -> None:
    unknown = sorted(set(used_codes()) - set(ERROR_CODES))
    assert not unknown, f"add to dsm/core/error_codes.py: {unknown}"


def test_every_code_of_the_registry_is_used() -> None:
    written = {text for tree in sources() for text in literals(tree)}
    assert sorted(set(ERROR_CODES) - written) == []


def test_codes_are_raised_with_the_class_in_the_registry() -> None:
    ours = {name for name in vars(errors) if isinstance(getattr(errors, name), type)}
    wrong = {
        code: classes
        for code, classes in used_codes().items()
        if (raised := classes & ours) and ERROR_CODES[code].error.__name__ not in raised
    }
    assert wrong == {}


@pytest.mark.parametrize("code", ERROR_CODES)
def test_error_round_trip(code: str) -> None:
    row = ERROR_CODES[code]
    error = make_error(code, "It failed.", hint="Try again.", details="trace")
    assert type(error) is row.error
    assert (str(error), error.code, error.hint, error.details) == ("It failed.", code, "Try again.", "trace")
    assert row.meaning.endswith(".")


def test_unknown_codes_of_other_versions() -> None:
    assert type(make_error("geometry.new_in_2030", "x")) is GeometryError
    assert type(make_error("nobody_knows", "x")) is WorkerError
    assert error_code("nobody_knows").http_status == 422
    assert type(make_error("cancelled", "x")) is JobCancelled


def test_default_code_of_every_class_is_in_the_registry() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, DSMError)]
    assert {value.code for value in classes} <= set(ERROR_CODES)


def test_page_matches_the_registry() -> None:
    path = ROOT / "scripts" / "error_codes_page.py"
    spec = importlib.util.spec_from_file_location("error_codes_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: python scripts/error_codes_page.py"
