"""Facts from the model card of a model folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from dsm.models.store import ModelEntry

CARD_FILE = "MODEL_CARD.md"
_LICENCE_ROW = re.compile(r"^\|\s*Licen[cs]e of the weights\s*\|\s*(.+?)\s*\|", re.MULTILINE)


def licence_of(folder: str | Path) -> str:
    """Return the licence of the weights as the card's table gives it, in one line; empty where it gives none."""
    try:
        card = Path(folder, CARD_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = _LICENCE_ROW.search(card)
    return match[1] if match else ""


def licence_key(entry: ModelEntry) -> str:
    """Return the key of a licence acceptance; it changes only with the weights or the licence."""
    licence = hashlib.sha256(licence_of(entry.path).encode()).hexdigest()
    return f"{entry.weights_sha256}:{licence[:16]}"
