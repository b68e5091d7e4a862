"""Files of a model's click network; imports no installed package."""

from __future__ import annotations

import json
from pathlib import Path

CONFIG_FILE = "clicks.json"
WEIGHTS_FILE = "clicks.safetensors"
_OTHER_MODEL = "same_as"


def clicks_folder(folder: str | Path) -> Path:
    """Return the folder with the click network of a model.

    A click network sees no names, so that models share one: `{"same_as": "dsm-small"}` in `clicks.json` names the model
    beside it that holds the files. An archive of a model holds copies.
    """
    folder = Path(folder)
    try:
        name = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))[_OTHER_MODEL]
        return folder.resolve().parent / Path(name).name
    except (OSError, ValueError, KeyError, TypeError):
        return folder


def click_files(folder: str | Path) -> dict[str, Path]:
    """Return the files of a model's click network by their names in its manifest; none where it has none."""
    holder = clicks_folder(folder)
    paths = {name: holder / name for name in (CONFIG_FILE, WEIGHTS_FILE)}
    return paths if (Path(folder) / CONFIG_FILE).exists() else {}
