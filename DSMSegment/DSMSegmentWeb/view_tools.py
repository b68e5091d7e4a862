"""Controls over each view: buttons that fit the scan and fill the page, and a slice slider."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3
from trame_server import Server
from trame_slicer.app.logic.slice_view_logic import connect_slice_view_slider_to_state
from trame_slicer.app.ui.slider import Slider

from DSMSegmentWeb.view_readout import slice_readout

_TITLES = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


def view_tools(server: Server, view_id: str, view: Any) -> None:
    """Add the controls in the corner of a view."""
    server.state.setdefault("big_view", "")
    is_big = f"big_view === '{view_id}'"
    with html.Div(classes="view-corner", raw_attrs=[f""":class="{{ 'dsm-big': {is_big} }}\""""]):
        html.Span(view_title(view))
        v3.VBtn(
            icon="mdi-fit-to-page-outline",
            size="small",
            variant="text",
            click=view.reset_view,
            raw_attrs=[f'aria-label="Fit the {view_title(view)} view to the scan"'],
        )
        v3.VBtn(
            icon=(f"{is_big} ? 'mdi-fullscreen-exit' : 'mdi-fullscreen'",),
            size="small",
            variant="text",
            classes="dsm-enlarge",
            click=f"big_view = {is_big} ? '' : '{view_id}'",
            raw_attrs=[
                f""":aria-label="{is_big} ? 'Show all views' : 'Maximize the {view_title(view)} view'\"""",
                f""":title="({is_big} ? 'Show all views' : 'Maximize') + ' (double-click)'\"""",
            ],
        )


def slice_tools(server: Server, view_id: str, view: Any) -> None:
    """Add the controls in the corner of a slice view, its readout, and the slider at its lower edge."""
    view_tools(server, view_id, view)
    slice_readout(server, view_id, view)
    slices = connect_slice_view_slider_to_state(server, view)
    # For the arrow keys (`page.js`): the variables that position and step are in.
    variables = {"position": slices.name.value, "step": slices.name.step}
    limits = {"lowest": slices.name.min_value, "highest": slices.name.max_value}
    names = [f'data-{key}="{name}"' for key, name in (variables | limits).items()]
    with html.Div(classes="view-slider", raw_attrs=names):
        Slider(
            slices,
            density="compact",
            raw_attrs=[f'aria-label="{view_title(view)} slice"'],
        )


def view_title(view: Any) -> str:
    """Return the name of a view."""
    return _TITLES.get(view.get_singleton_tag(), "3D")
