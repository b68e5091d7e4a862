"""Optional packages: how to install those of a task."""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """Return how to install an extra: from a clone or a wheel, since no package index has DSMSegment.

    Args:
        extra: Of `pyproject.toml`, e.g. `"server"`.
    """
    return f"Install the extra {extra}: pip install '.[{extra}]' in a clone of DSMSegment, or 'WHEEL[{extra}]'."
