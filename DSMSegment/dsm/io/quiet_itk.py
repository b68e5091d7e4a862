"""Suppression of ITK's messages on standard error."""

# SimpleITK ships a py.typed marker without annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk  # noqa: N813  (the name that everyone gives it)


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Suppress ITK's warnings on standard error; errors are still raised."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
