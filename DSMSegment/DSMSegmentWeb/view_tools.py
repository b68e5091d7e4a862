"""Controls over each view: a button that fits the view to the scan, and a slice slider."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3
from trame_server import Server
from trame_slicer.app.logic.slice_view_logic import connect_slice_view_slider_to_state
from trame_slicer.app.ui.slider import Slider

from DSMSegmentWeb.view_readout import slice_readout

_TITLES = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


def view_tools(_server: Server, _view_id: str, view: Any) -> None:
    """Add the controls in the corner of a view."""
    with html.Div(classes="view-corner"):
        html.Span(view_title(view))
        v3.VBtn(
            icon="mdi-fit-to-page-outline",
            size="small",
            variant="text",
            click=view.reset_view,
            raw_attrs=[f'aria-label="Fit the {view_title(view)} view to the scan"'],
        )


def slice_tools(server: Server, view_id: str, view: Any) -> None:
    """Add the controls in the corner of a slice view, its readout, and the slider at its lower edge."""
    view_tools(server, view_id, view)
    slice_readout(server, view_id, view)
    with html.Div(classes="view-slider"):
        Slider(
            connect_slice_view_slider_to_state(server, view),
            density="compact",
            raw_attrs=[f'aria-label="{view_title(view)} slice"'],
        )


def view_title(view: Any) -> str:
    """Return the name of a view."""
    return _TITLES.get(view.get_singleton_tag(), "3D")
