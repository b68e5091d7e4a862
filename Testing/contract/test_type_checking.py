"""Static type checking covers every package, and never skips one of our own modules."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OWN = ("dsm", "DSMSegment", "DSMSegmentLib", "DSMSegmentWeb", "DSMSegmentEffect", "benchmarks")


def mypy_settings() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    return dict(settings)


def test_every_package_is_checked_strictly() -> None:
    settings = mypy_settings()
    folders = {path.parent.name for path in (ROOT / "DSMSegment").glob("*/*.py")} | {"benchmarks"}
    scripts = {path.stem for path in (ROOT / "DSMSegment").glob("*.py")}
    assert settings["strict"] is True
    assert set(settings["packages"]) == folders
    assert set(settings["modules"]) == scripts
    assert folders | scripts == set(OWN)


def test_no_override_hides_an_own_module() -> None:
    for override in mypy_settings()["overrides"]:
        modules = [override["module"]] if isinstance(override["module"], str) else override["module"]
        ours = [module for module in modules if module.partition(".")[0] in OWN]
        hiding = {"ignore_errors", "ignore_missing_imports", "follow_imports"} & set(override)
        assert not (ours and hiding), f"{ours}: {hiding}"
