"""Stand-in for Slicer's error log: messages of VTK and MRML, and uncaught exceptions.

Exceptions in slots of Qt and in observers of VTK do not reach the caller: Python prints them, and a test would pass.
"""

from __future__ import annotations

import re
import sys
import traceback
from types import TracebackType

import vtk

_MESSAGE = re.compile(r"^(?:ERROR|Warning|Generic Warning): In .*\n(.+)", re.MULTILINE)
# Of what only the application has, and not of what our side does.
_WITHOUT_APPLICATION = (
    re.compile(r"vtkMRMLLabelMapVolumeDisplayNode: Warning, the color table node: .* can't be found"),
    re.compile(r"vtkSlicerMarkupsLogic::SetActiveList: No selection node in the scene"),
    re.compile(r"vtkMRMLMarkupsNode::GetUnitNode failed: selection node not found"),
)


class ErrorLog:
    """Keeps the messages from `start` to `stop`."""

    def __init__(self) -> None:
        self._window = vtk.vtkStringOutputWindow()
        self._tracebacks: list[str] = []

    @property
    def messages(self) -> list[str]:
        """Warnings and errors up to now."""
        found = _MESSAGE.findall(self._window.GetOutput())
        return [one for one in found if not any(known.search(one) for known in _WITHOUT_APPLICATION)] + self._tracebacks

    def start(self) -> None:
        """Take the messages from now on."""
        self._window_before = vtk.vtkOutputWindow.GetInstance()
        self._hook_before = sys.excepthook
        vtk.vtkOutputWindow.SetInstance(self._window)
        vtk.vtkObject.GlobalWarningDisplayOn()
        sys.excepthook = self._on_uncaught

    def stop(self) -> None:
        """Let them go where they went before."""
        sys.excepthook = self._hook_before
        vtk.vtkObject.GlobalWarningDisplayOff()
        vtk.vtkOutputWindow.SetInstance(self._window_before)

    def _on_uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._tracebacks.append("".join(traceback.format_exception(kind, error, trace)))
