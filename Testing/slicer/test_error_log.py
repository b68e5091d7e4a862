"""The guard of all tests here: what Slicer would write to its error log is not lost."""

from __future__ import annotations

import pytest
import slicer
import vtk
from error_log import ErrorLog


@pytest.fixture
def log() -> ErrorLog:
    log = ErrorLog()
    log.start()
    yield log
    log.stop()


def test_error_of_a_node_is_kept(log: ErrorLog) -> None:
    slicer.vtkSegmentation().RemoveSegment("nobody")
    assert len(log.messages) == 1
    assert "Segment to remove cannot be found" in log.messages[0]


def test_exception_in_an_observer_is_kept(log: ErrorLog) -> None:
    node = slicer.vtkMRMLSegmentationNode()
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: 1 / 0)
    node.Modified()
    assert "ZeroDivisionError" in log.messages[0]


def test_exception_in_a_slot_is_kept(log: ErrorLog) -> None:
    pytest.importorskip("panel_host", reason="PySide6 is not installed")
    import qt

    button = qt.QPushButton()
    button.clicked.connect(lambda: 1 / 0)
    button.click()
    assert "ZeroDivisionError" in log.messages[0]


def test_what_only_the_application_has_is_no_fault(log: ErrorLog) -> None:
    slicer.modules.markups.logic().SetActiveListID(slicer.vtkMRMLMarkupsROINode())
    assert log.messages == []
