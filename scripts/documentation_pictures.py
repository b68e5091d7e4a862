"""Make the pictures anew that show the page and the demo: `documentation_pictures.py [page] [demo]`; look at each.

It keeps a digest of what each of them shows; a test fails once the page, the demo or the weights are others. Pictures
show times, and strokes of the mouse: make them on an idle machine.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "Resources" / "Screenshots"
DIGESTS = PICTURES / "digests.json"

_PAGE = ROOT / "DSMSegment" / "DSMSegmentWeb"
# Layout that is in no picture, because it appears on demand.
NOT_SHOWN = frozenset({"click_bar", "consent_dialog", "key_help", "lesion_list", "series_dialog"})
LAYOUT = (
    *("correction_tools", "engine_choice", "page", "result_list", "row_menu", "slider", "tool_button"),
    *("view_readout", "view_tools"),
)
_COLORS = ROOT / "DSMSegment" / "dsm" / "core" / "display_colors.py"
SOURCES = {
    "page": (
        *(_PAGE / f"{name}.py" for name in (*LAYOUT, "draw_order", "rows", "viewer")),
        _PAGE / "static" / "page.css",
        _COLORS,
    ),
    "demo": (ROOT / "examples" / "demo.py", ROOT / "examples" / "overview.py", _COLORS),
}
SHOWN_BY = {
    "page": ("web-first-segmentation.webp", "web-uncertainty.webp", "web-corrections.webp"),
    "demo": ("overview.png",),
}
_COMPACT: dict[str, dict[str, int]] = {".webp": {"quality": 85, "method": 6}, ".png": {"optimize": True}}
_MANIFEST = ROOT / "model_weights" / "dsm-small" / "manifest.json"
# What the masks of names depend on.
_WEIGHTS = ("calibration.json", "config.json", "model.safetensors")


def digest(sources: Iterable[Path], manifest: Path = _MANIFEST) -> str:
    """Return a digest of sources without their comments, and of the weights."""
    files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    parts = [*(code_of(path) for path in sources), *(files[name]["sha256"] for name in _WEIGHTS)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def code_of(path: Path) -> str:
    """Return the text of a source without comments, docstrings and empty lines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        lines = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).splitlines()
    else:
        lines = text.splitlines()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
        for node in ast.walk(ast.parse(text)):
            documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            if documented and ast.get_docstring(node, clean=False) is not None:
                first, last = node.body[0].lineno, node.body[0].end_lineno or 0
                lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def main(groups: list[str]) -> None:
    """Make the pictures of some groups, or of all, and keep their digests."""
    digests = json.loads(DIGESTS.read_text(encoding="utf-8")) if DIGESTS.is_file() else {}
    for group in groups or SHOWN_BY:
        with tempfile.TemporaryDirectory() as folder:
            _make(group, Path(folder))
        digests |= dict.fromkeys(SHOWN_BY[group], digest(SOURCES[group]))
    DIGESTS.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _make(group: str, folder: Path) -> None:
    """Drive the real page, as the test of the tutorial does, or run the demo; then keep its pictures."""
    command = {
        "page": ("-m", "pytest", "-q", "-n", "0", str(ROOT / "Testing" / "web" / "test_tutorial.py")),
        "demo": (str(ROOT / "examples" / "demo.py"), "--out", str(folder)),
    }[group]
    environment = {**os.environ, "DSM_SCREENSHOTS": str(folder), "PYTHONPATH": str(ROOT / "DSMSegment")}
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
    for name in SHOWN_BY[group]:
        made = folder / Path(name).with_suffix(".png").name
        if not made.is_file():
            sys.exit(f"{made.name} was not made: is a test skipped?")
        Image.open(made).convert("RGB").save(PICTURES / name, **_COMPACT[Path(name).suffix])


if __name__ == "__main__":
    main(sys.argv[1:])
