"""Workflows, hooks, citation, changelog and issue forms."""

from __future__ import annotations

import os
import re
import subprocess
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


def test_workflows_and_issue_forms_exist() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "release"]
    assert [path.stem for path in FORMS] == ["bug", "wrong-mask"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_need_no_secrets_and_refer_to_existing_files(workflow: Path) -> None:
    assert "secrets." not in workflow.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in (step["run"] for step in steps(workflow) if "run" in step):
        assert set(re.findall(r"\bmake ([\w-]+)", command)) <= targets
        for path in re.findall(r"(?<![\w/])(?:Testing|\.ci)/[\w/.-]+", command):
            assert (ROOT / path).exists(), path
        for extras in re.findall(r'"\.\[([\w,]+)\]"', command):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_matrix_has_all_systems_and_the_oldest_python() -> None:
    matrix = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["engine"]["strategy"]["matrix"]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "windows", "macos"}
    assert f">={matrix['python'][0]}" == PROJECT["requires-python"]


def test_hooks_match_make_lint() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in repository["hooks"]:
        assert hook["entry"].replace(".venv/bin/", "$(BIN)/") in makefile


def test_citation_has_the_version_and_licence_of_the_code() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation["version"] == __version__
    assert citation["license"] in PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_changelog_has_its_format_and_the_version_of_the_code() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[([\w.]+)\](?: - (\S+))?$", changelog, re.MULTILINE)
    assert len(releases) == len(re.findall(r"^## ", changelog, re.MULTILINE))
    assert next(version for version, _ in releases if version != "Unreleased") == __version__
    for version, date in releases:
        assert version == "Unreleased" or re.fullmatch(r"\d{4}-\d\d-\d\d|Unreleased", date)
    kinds = [re.findall(r"^### (.+)$", part, re.MULTILINE) for part in re.split(r"^## ", changelog, flags=re.MULTILINE)]
    order = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    assert all(found == [kind for kind in order if kind in found] for found in kinds)


def test_tag_must_match_the_version_of_the_code() -> None:
    release = ROOT / ".github" / "workflows" / "release.yml"
    (check,) = [step for step in steps(release) if step.get("name") == "Check tag"]
    for tag, passes in ((f"v{__version__}", True), ("v0.0.1", False)):
        done = subprocess.run(
            ["/bin/bash", "-c", check["run"]], cwd=ROOT, env={**os.environ, "GITHUB_REF_NAME": tag}, check=False
        )
        assert (done.returncode == 0) is passes


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_issue_forms_ask_for_a_report_and_no_patient_data(form: Path) -> None:
    content = read(form)
    assert {"name", "description", "body"} <= content.keys()
    assert "Leave out everything about patients" in content["body"][0]["attributes"]["value"]
    ids = [item["id"] for item in content["body"] if item["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    assert "report" in ids
