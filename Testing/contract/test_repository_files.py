"""Files that other services read: workflows, hooks, citation, forms of issues."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsm import __version__

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in read(workflow)["jobs"].values() for step in job["steps"]]


def test_there_are_workflows_and_forms() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "release"]
    assert [path.stem for path in FORMS] == ["bug", "wrong-mask"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_need_no_secret_and_name_what_exists(workflow: Path) -> None:
    assert "secrets." not in workflow.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in (step["run"] for step in steps(workflow) if "run" in step):
        assert set(re.findall(r"\bmake ([\w-]+)", command)) <= targets
        for path in re.findall(r"(?<![\w/])(?:Testing|\.ci)/[\w/.-]+", command):
            assert (ROOT / path).exists(), path
        for extras in re.findall(r'"\.\[([\w,]+)\]"', command):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_matrix_has_every_system_and_the_oldest_python() -> None:
    matrix = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["engine"]["strategy"]["matrix"]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "windows", "macos"}
    assert f">={matrix['python'][0]}" == PROJECT["requires-python"]


def test_hooks_are_the_tools_of_make_lint() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in repository["hooks"]:
        assert hook["entry"].replace(".venv/bin/", "$(BIN)/") in makefile


def test_citation_has_the_version_and_licence_of_the_code() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation["version"] == __version__
    assert citation["license"] in PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_forms_ask_for_a_report_and_for_no_patient(form: Path) -> None:
    content = read(form)
    assert {"name", "description", "body"} <= content.keys()
    assert "Leave out everything about patients" in content["body"][0]["attributes"]["value"]
    ids = [item["id"] for item in content["body"] if item["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    assert "report" in ids
