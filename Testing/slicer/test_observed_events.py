"""Every event that our code observes is one that Slicer invokes: an enumerator alone calls nobody.

Where: in the table. With `DSM_SLICER_SOURCE`, the invocation is looked up in those files of the checkout.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytest.importorskip("panel_host", reason="PySide6 is not installed")
import checkout

MODULE = Path(__file__).parents[2] / "DSMSegment"
FILES = [path for path in MODULE.rglob("*.py") if path.relative_to(MODULE).parts[0] not in ("dsm", "DSMSegmentWeb")]
OBSERVING = ("AddObserver", "addObserver")
# Who calls with another name for every event, or for whatever VTK object was changed.
OF_VTK = {"AnyEvent", "ModifiedEvent"}
# Where Slicer invokes it. Held against 5.10.0 and 5.13 of August 2026.
INVOKED_IN = {
    "StartCloseEvent": "Libs/MRML/Core/vtkMRMLScene.cxx",
    "EndCloseEvent": "Libs/MRML/Core/vtkMRMLScene.cxx",
    "StartImportEvent": "Libs/MRML/Core/vtkMRMLScene.cxx",
    "EndImportEvent": "Libs/MRML/Core/vtkMRMLScene.cxx",
    "NodeAddedEvent": "Libs/MRML/Core/vtkMRMLScene.cxx",
    "NodeRemovedEvent": "Libs/MRML/Core/vtkMRMLScene.cxx",
    "SegmentAdded": "Libs/vtkSegmentationCore/vtkSegmentation.cxx",
    "SegmentRemoved": "Libs/vtkSegmentationCore/vtkSegmentation.cxx",
    "SegmentModified": "Libs/vtkSegmentationCore/vtkSegmentation.cxx",
    "DisplayModifiedEvent": "Libs/MRML/Core/vtkMRMLDisplayableNode.cxx",
    "InteractionModeChangedEvent": "Libs/MRML/Core/vtkMRMLInteractionNode.cxx",
    "ActivePlaceNodeIDChangedEvent": "Libs/MRML/Core/vtkMRMLSelectionNode.cxx",
    "PointAddedEvent": "Libs/MRML/Core/vtkMRMLMarkupsNode.cxx",
    "PointModifiedEvent": "Libs/MRML/Core/vtkMRMLMarkupsNode.cxx",
    "PointRemovedEvent": "Libs/MRML/Core/vtkMRMLMarkupsNode.cxx",
    "PointPositionDefinedEvent": "Libs/MRML/Core/vtkMRMLMarkupsNode.cxx",
    "PointPositionUndefinedEvent": "Libs/MRML/Core/vtkMRMLMarkupsNode.cxx",
    "SourceRepresentationModified": "Libs/vtkSegmentationCore/vtkSegmentation.cxx",
}


def observed_in(source: str) -> set[str]:
    """Return the names of the events that a piece of Python observes: the last name of each event argument.

    An argument that is a variable stands for what it is assigned anywhere in the piece; else it is returned as it is.
    """
    tree = ast.parse(source)
    assigned: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            for target in node.targets:
                assigned.setdefault(ast.unparse(target), set()).add(node.value.attr)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in OBSERVING:
            event = node.args[OBSERVING.index(node.func.attr)]  # `addObserver` of Slicer's mixin takes the object first
            name = ast.unparse(event)
            found |= {event.attr} if isinstance(event, ast.Attribute) else assigned.get(name, {name})
    return found


def is_invoked(event: str, text: str) -> bool:
    """Return whether C++ of Slicer invokes an event: by its name, or, of a state of the scene, by that state."""
    state = re.fullmatch(r"(Start|End)(\w+)Event", event)
    if state and re.search(rf"\b{state[1]}State\(\s*(?:vtkMRMLScene::)?{state[2]}State\b", text):
        return True
    return bool(re.search(rf"\bInvoke(?:Custom\w*|Pending\w*)?Event\(\s*[\w:>-]*\b{event}\b", text))


def test_each_event_is_found() -> None:
    assert observed_in("a.AddObserver(b.c.ModifiedEvent, f)\nself.addObserver(scene, x.EndCloseEvent, f, g, 1.0)") == {
        "ModifiedEvent",
        "EndCloseEvent",
    }
    assert observed_in("event = b.SegmentModified\na.AddObserver(event, f)") == {"SegmentModified"}
    assert observed_in("a.AddObserver(event, f)") == {"event"}


def test_our_code_observes_what_slicer_invokes() -> None:
    observed = {event: path.name for path in FILES for event in observed_in(path.read_text(encoding="utf-8"))}
    assert "EndCloseEvent" in observed
    never = {event: path for event, path in observed.items() if event not in {*INVOKED_IN, *OF_VTK}}
    assert never == {}


@pytest.mark.skipif(checkout.CHECKOUT is None, reason="DSM_SLICER_SOURCE names no checkout of Slicer")
def test_slicer_invokes_what_the_table_says() -> None:
    for event, path in INVOKED_IN.items():
        assert is_invoked(event, (checkout.CHECKOUT / path).read_text(encoding="utf-8")), event


@pytest.mark.skipif(checkout.CHECKOUT is None, reason="DSM_SLICER_SOURCE names no checkout of Slicer")
def test_slicer_has_an_event_for_saving_and_never_invokes_it() -> None:
    header = (checkout.CHECKOUT / "Libs/MRML/Core/vtkMRMLScene.h").read_text(encoding="utf-8")
    assert "StartSaveEvent" in header
    for folder in ("Libs", "Base", "Modules"):
        for path in (checkout.CHECKOUT / folder).rglob("*"):
            if path.suffix in (".cxx", ".h", ".txx", ".py"):
                assert not is_invoked("StartSaveEvent", path.read_text(encoding="utf-8", errors="replace")), path
