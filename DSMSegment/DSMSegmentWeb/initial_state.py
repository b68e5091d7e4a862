"""Initial values of the page's variables, before a scan is open."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from dsm.core.options import SegmentOptions
from DSMSegmentLib.scene.modality_choice import ModalityChoice
from DSMSegmentWeb.completions import completions
from DSMSegmentWeb.page import LOST, SWITCHES
from DSMSegmentWeb.uploads import MAX_UPLOAD_BYTES

_ICON = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "DSMSegment.png"


def initial_state() -> dict[str, Any]:
    """Return name and value of each; those that start with `trame__` are trame's own."""
    return {
        "trame__title": "DSM Segment",
        "trame__favicon": _icon(),
        "vocabulary": completions((), ""),
        "learned_organs": [],
        "max_upload_bytes": MAX_UPLOAD_BYTES,
        "trame__template_error": LOST,
        "volume_name": "",
        "is_dicom": False,
        "is_ct": True,
        "modality": "",  # as the user chose; empty for automatic
        "modalities": modality_options(""),
        "input_notes": [],
        "value_low": 0,
        "value_high": 1,
        "shown_window": 1,
        "shown_level": 0,
        "prompts": [],
        "hints": [],
        "typed": "",
        "num_scans": 0,
        "done_prompts": {"run": 0, "names": []},
        "running": False,
        # The browser sets the first, the server the second: one for both would be lost between them.
        "sending": False,
        "opening": False,
        "writing": False,
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
        "lesions": [],
        "shown_lesion": "",
        "lesion_note": "",
        "renaming": "",
        "new_name": "",
        "can_undo": False,
        "can_redo": False,
        "tool": "",
        "shows_keys": False,
        "no_clicks": "",  # why nothing can be clicked
        "num_clicks": 0,
        "click_note": "",
        "click_error": "",
        "brush_mm": 12,
        "limits_brush": False,
        "brush_low": 0,
        "brush_high": 0,
        "margin_mm": 2,
        "editing": False,
        "threshold": SegmentOptions().threshold,
        **{name: getattr(SegmentOptions(), name) for name in SWITCHES},
        "uncertain": "",
        "segment_threshold": 0.5,
    }


def modality_options(found: str) -> list[dict[str, str]]:
    """Return the choices of the modality.

    Args:
        found: Modality of the open scan as determined; empty without one.
    """
    titles = {ModalityChoice.AUTOMATIC: ModalityChoice.automaticLabel(found)}
    return [{"value": choice.value, "title": titles.get(choice) or choice.label()} for choice in ModalityChoice]


def _icon() -> str:
    """Return the icon as a data URL; an installed engine lacks the extension's resources."""
    return "data:image/png;base64," + base64.b64encode(_ICON.read_bytes()).decode() if _ICON.is_file() else ""
