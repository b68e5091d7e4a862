"""Readout over a slice view: orientation letters, number and position of the slice, and the value under the mouse."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from trame.widgets import html
from trame_server import Server
from vtkmodules.vtkCommonCore import vtkCommand

# Positive and negative end of the patient's axes.
_LETTERS = ("RL", "AP", "SI")
# Before the interaction of the view, which may keep an event to itself.
_FIRST = 10.0
_OUTSIDE = "outside"


def slice_readout(server: Server, view_id: str, view: Any) -> None:
    """Add the readout of a slice view; it follows the view."""
    edges, position, value = (f"{view_id}_{part}" for part in ("edges", "position", "value"))
    state = server.state
    state[edges], state[position], state[value] = [], "", ""
    state.setdefault("mouse_view", "")

    def show(_view: Any = None) -> None:
        slice_to_ras, node = to_array(view.get_view_node().GetSliceToRAS()), volume_of(view)
        state[edges] = edge_letters(slice_to_ras)
        state[position] = slice_text(slice_to_ras, node) if node is not None else ""
        if state.mouse_view == view_id:  # another slice has another value at the same place of the screen
            show_value()

    def show_value() -> None:
        node = volume_of(view)
        if node is not None:
            x, y = view.interactor().GetEventPosition()
            state[value] = value_text(to_array(view.get_view_node().GetXYToRAS()) @ (x, y, 0.0, 1.0), node)

    def follow_mouse(*_: Any) -> None:
        with state:
            state.mouse_view = view_id
            show_value()

    view.modified.connect(show)
    view.interactor().AddObserver(vtkCommand.MouseMoveEvent, follow_mouse, _FIRST)
    show()
    for number, side in enumerate(("left", "right", "top", "bottom")):
        html.Span(f"{{{{ {edges}[{number}] }}}}", classes=f"dsm-edge dsm-edge-{side}", raw_attrs=['aria-hidden="true"'])
    html.Div(f"{{{{ {position} }}}}", classes="dsm-slice-position")
    html.Div(
        f"{{{{ {value} }}}}{{{{ is_ct && !{value}.endsWith('{_OUTSIDE}') ? ' HU' : '' }}}}",
        v_if=f"mouse_view === '{view_id}' && {value}",
        classes="dsm-slice-value",
    )


def edge_letters(slice_to_ras: np.ndarray) -> list[str]:
    """Return the letters at the left, right, upper and lower edge of a slice.

    Args:
        slice_to_ras: `(4, 4)`, from the slice's own axes (right, up, out of the screen) to RAS.
    """
    right, up = (_letter(slice_to_ras[:3, axis]) for axis in (0, 1))
    left, down = (_letter(-slice_to_ras[:3, axis]) for axis in (0, 1))
    return [left, right, up, down]


def slice_text(slice_to_ras: np.ndarray, node: Any) -> str:
    """Return number and position of a slice, e.g. `"17 / 34, S 12.5 mm"`."""
    normal, center = slice_to_ras[:3, 2], slice_to_ras[:3, 3]
    ras_to_ijk = _ras_to_ijk(node)
    axis = int(np.argmax(np.abs(ras_to_ijk[:3, :3] @ normal)))
    count = node.GetImageData().GetDimensions()[axis]
    number = round(float((ras_to_ijk @ (*center, 1.0))[axis])) + 1
    along = int(np.argmax(np.abs(normal)))
    letter = _LETTERS[along][int(center[along] < 0)]
    return f"{number} / {count}, {letter} {abs(center[along]):.1f} mm"


def value_text(ras_mm: np.ndarray, node: Any) -> str:
    """Return a position and the value there, e.g. `"R 10.0, P 22.5, S 3.0 mm: 45"`.

    Args:
        ras_mm: Position, the first three of it, in mm.
        node: Scan.
    """
    place = ", ".join(
        f"{ends[int(mm < 0)]} {abs(mm):.1f}" for ends, mm in zip(_LETTERS, ras_mm[:3].tolist(), strict=True)
    )
    image = node.GetImageData()
    ijk = [round(value) for value in (_ras_to_ijk(node) @ (*ras_mm[:3], 1.0))[:3].tolist()]
    if not all(0 <= index < size for index, size in zip(ijk, image.GetDimensions(), strict=True)):
        return f"{place} mm: {_OUTSIDE}"
    return f"{place} mm: {image.GetScalarComponentAsDouble(*ijk, 0):.4g}"


def volume_of(view: Any) -> Any:
    """Return the scan that a slice view shows; None for none, or one without voxels."""
    node_id = view.get_background_volume_id()
    node = view.get_view_node().GetScene().GetNodeByID(node_id) if node_id else None
    return node if isinstance(node, slicer.vtkMRMLVolumeNode) and node.GetImageData() is not None else None


def to_array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """Return a matrix as `(4, 4)` array."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _letter(direction: np.ndarray) -> str:
    axis = int(np.argmax(np.abs(direction)))
    return _LETTERS[axis][int(direction[axis] < 0)]


def _ras_to_ijk(node: Any) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(matrix)
    return to_array(matrix)
