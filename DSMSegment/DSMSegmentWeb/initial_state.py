"""Initial values of the page's variables, before a scan is open."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from dsm.text.vocabulary import load_vocabulary
from DSMSegmentWeb.page import LOST
from DSMSegmentWeb.uploads import MAX_UPLOAD_BYTES

_ICON = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "DSMSegment.png"


def initial_state() -> dict[str, Any]:
    """Return name and value of each; those that start with `trame__` are trame's own."""
    return {
        "trame__title": "DSM Segment",
        "trame__favicon": _icon(),
        "vocabulary": [structure.name for structure in load_vocabulary().structures],
        "max_upload_bytes": MAX_UPLOAD_BYTES,
        "trame__template_error": LOST,
        "volume_name": "",
        "is_dicom": False,
        "is_ct": True,
        "modality": "",  # as the user chose; empty for what was found out
        "found_modality": "",
        "input_notes": [],
        "value_low": 0,
        "value_high": 1,
        "shown_window": 1,
        "shown_level": 0,
        "prompts": [],
        "typed": "",
        "running": False,
        # The browser sets the first, the server the second: one for both would be lost between them.
        "sending": False,
        "opening": False,
        "series": [],
        "consent": "",
        "remote": "",
        "progress": -1,
        "elapsed_s": 0,
        "status": "",
        "estimate": "",
        "error": "",
        "rows": [],
        "selected": "",
        "can_undo": False,
        "tool": "",
        "brush_mm": 12,
        "threshold": 0.5,
        "uncertainty": False,
        "uncertain": "",
        "segment_threshold": 0.5,
    }


def _icon() -> str:
    """Return the icon as a data URL; an installed engine lacks the extension's resources."""
    return "data:image/png;base64," + base64.b64encode(_ICON.read_bytes()).decode() if _ICON.is_file() else ""
