"""Pictures of the page and the demo in the documentation are those of today's page, demo and weights."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "documentation_pictures.py"


@pytest.fixture(scope="module")
def pictures() -> Any:
    pytest.importorskip("PIL", reason="Pillow is not installed")
    spec = importlib.util.spec_from_file_location("documentation_pictures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_picture_is_older_than_what_it_shows(pictures: Any) -> None:
    kept = json.loads(pictures.DIGESTS.read_text(encoding="utf-8"))
    expected = {
        name: pictures.digest(pictures.SOURCES[group]) for group, names in pictures.SHOWN_BY.items() for name in names
    }
    older = sorted(name for name in kept.keys() | expected.keys() if kept.get(name) != expected.get(name))
    assert older == [], f"run `python {SCRIPT.relative_to(ROOT)}` and look at the pictures"


def test_pictures_are_in_the_documentation(pictures: Any) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {
        (page.parent / link).resolve()
        for page in pages
        for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text())
    }
    names = [name for names in pictures.SHOWN_BY.values() for name in names]
    assert {name for name in names if pictures.PICTURES / name not in shown} == set()
    on_disk = {path.name for path in pictures.PICTURES.glob("web-*")}
    assert on_disk == set(pictures.SHOWN_BY["page"])


def test_every_file_of_the_layout_is_known(pictures: Any) -> None:
    folder = ROOT / "DSMSegment" / "DSMSegmentWeb"
    layout = {path.stem for path in folder.glob("*.py") if "from trame.widgets" in path.read_text(encoding="utf-8")}
    assert layout == {*pictures.LAYOUT, *pictures.NOT_SHOWN}


SOURCE = '''"""A page."""

TITLE = "Results"  # of the list
URL = "a#b"


def page() -> str:
    """Return the title."""
    return TITLE
'''


@pytest.mark.parametrize(
    ("changed", "is_older"),
    [
        (SOURCE.replace("# of the list", "# above the list"), False),
        (SOURCE.replace("  # of the list", ""), False),
        (SOURCE.replace("A page.", "A page\n\nof two lines."), False),
        (SOURCE.replace("Return the title.", "Return it."), False),
        (SOURCE.replace("\n\n\n", "\n\n# More.\n\n"), False),
        (SOURCE.replace("Results", "Segments"), True),
        (SOURCE.replace("a#b", "a#c"), True),
    ],
)
def test_only_code_counts(pictures: Any, tmp_path: Path, changed: str, is_older: bool) -> None:
    before, after = tmp_path / "before.py", tmp_path / "after.py"
    before.write_text(SOURCE)
    after.write_text(changed)
    assert (pictures.digest([before]) != pictures.digest([after])) is is_older


@pytest.mark.parametrize(
    ("changed", "is_older"), [("b { top: 0; } /* other */\n", False), ("/* one */\nb { top: 1px; }\n", True)]
)
def test_only_rules_of_a_stylesheet_count(pictures: Any, tmp_path: Path, changed: str, is_older: bool) -> None:
    before, after = tmp_path / "before.css", tmp_path / "after.css"
    before.write_text("/* one\n * or more */\nb { top: 0; }\n")
    after.write_text(changed)
    assert (pictures.digest([before]) != pictures.digest([after])) is is_older


@pytest.mark.parametrize(("file", "is_older"), [("model.safetensors", True), ("MODEL_CARD.md", False)])
def test_weights_count_and_their_card_does_not(pictures: Any, tmp_path: Path, file: str, is_older: bool) -> None:
    manifest = json.loads((ROOT / "model_weights" / "dsm-small" / "manifest.json").read_text())
    manifest["files"][file]["sha256"] = "0" * 64
    other = tmp_path / "manifest.json"
    other.write_text(json.dumps(manifest))
    assert (pictures.digest([]) != pictures.digest([], other)) is is_older
