"""Name of the model that is used where none is named."""

from __future__ import annotations

DEFAULT_MODEL = "dsm-small"
