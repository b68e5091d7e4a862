"""Labels of results, in the language of the application."""

from __future__ import annotations

from dsm.core.name_status import ResultLabel
from DSMSegmentLib.application import tr as _


def labelText(label: ResultLabel) -> str:
    """Return the translated label of a result."""
    return {
        ResultLabel.FOUND: _("found"),
        ResultLabel.CHECK: _("found, check"),
        ResultLabel.RELATED_NAME: _("related name, check"),
        ResultLabel.IMAGE_RULE: _("image rule, check"),
        ResultLabel.GUESS: _("guess, check"),
        ResultLabel.CLICK: _("found by click"),
        ResultLabel.NOT_FOUND: _("not found"),
        ResultLabel.NOT_KNOWN: _("not known"),
    }[label]
