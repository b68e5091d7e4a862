"""The documentation site builds without a warning, and links of pages outside it are valid."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import dsm

ROOT = Path(__file__).parents[2]
# The site itself holds the links of all other pages.
OUTSIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "model_weights/dsm-small/MODEL_CARD.md")

pytestmark = pytest.mark.xdist_group("docs_site")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--fail-on-warning",
        "--keep-going",
        "-q",
        str(ROOT / "docs"),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return folder


def test_reference_has_all_public_names(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    documented = set(re.findall(r'id="dsm\.(\w+)"', page))
    assert documented == {name for name in dsm.__all__ if name != "__version__"}


def test_every_page_is_on_the_site(site: Path) -> None:
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if not (site / page).is_file()} == set()


def test_commands_are_described(site: Path) -> None:
    page = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    assert {"dsm-segment", "dsm-serve", "dsm-models-install"} <= set(re.findall(r'<section id="(dsm-[\w-]+)"', page))
    assert "--probabilities" in page


@pytest.mark.parametrize("name", OUTSIDE)
def test_links_to_files_are_valid(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
