"""Path of a model's text bank; imports no installed package."""

from __future__ import annotations

from pathlib import Path

BANK_FILE = "text_bank.safetensors"
# Folder of the bank that comes with the vocabulary: of models whose folder has none of its own.
SHARED_BANK = Path(__file__).resolve().parent


def bank_path(folder: str | Path) -> Path:
    """Return the text bank of a model folder: its own, or the shared one."""
    own = Path(folder) / BANK_FILE
    return own if own.exists() else SHARED_BANK / BANK_FILE
