"""Correction tools for the selected segment."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from DSMSegmentWeb.actions import Actions
from DSMSegmentWeb.edits import MOST_MM
from DSMSegmentWeb.slider import slider
from DSMSegmentWeb.tool_button import tool_button

_TOOLS = {
    "paint": ("Paint", "mdi-brush", "Paint with a sphere brush"),
    "erase": ("Erase", "mdi-eraser", "Erase with a sphere brush"),
    "cut": ("Cut", "mdi-content-cut", "Scissors: erase inside the outline, through all slices"),
    "keep": ("Keep", "mdi-selection", "Scissors: erase outside the outline, through all slices"),
}
_FILTERS = {
    "largest": ("Keep largest", "Keep only the largest island"),
    "small": ("Remove small", "Remove islands of less than a millilitre"),
    "smooth": ("Smooth", "Median filter of 3 × 3 × 3 voxels"),
}
# Beside the millimetres, which are of the last two.
_FILLS = {
    "fill": ("Fill between slices", "Contours for slices that were left out between painted ones"),
    "grow": ("Grow", "Add what is within the distance, alike in all directions; other segments stay as they are"),
    "shrink": ("Shrink", "Remove what is within the distance of the surface; an end of the scan counts as surface"),
}
_LIMITS_TITLE = "The brush changes only voxels with these intensities, both ends included"
_THRESHOLD_TITLE = "Minimum probability of a segmented voxel. Changing it discards manual edits; Undo restores them."


def correction_tools(actions: Actions) -> None:
    """Add the tools; hidden while no segment is selected."""
    with html.Div(v_if="selected", classes="dsm-tools"):
        html.H2("Correct {{ (rows.find((row) => row.id === selected) || {}).name }}")
        with html.Div(v_if="(rows.find((row) => row.id === selected) || {}).threshold != null", classes="dsm-line"):
            html.Span("Threshold", classes="dsm-number", raw_attrs=[f'title="{_THRESHOLD_TITLE}"'])
            slider("segment_threshold", 0.05, 0.95, step=0.01, label="Threshold of the segment")
            html.Span("{{ Number(segment_threshold).toFixed(2) }}", classes="dsm-number dsm-threshold")
        with v3.VBtnToggle(
            v_model=("tool",),
            density="compact",
            variant="outlined",
            divided=True,
            disabled=("running",),
            raw_attrs=['role="group"', 'aria-label="Tool"'],
        ):
            for tool, words in _TOOLS.items():
                tool_button(tool, *words)
        with html.Div(classes="dsm-line", v_if="tool === 'paint' || tool === 'erase'"):
            slider("brush_mm", 2, 60, step=1, label="Diameter of the brush in millimetres")
            html.Span("{{ brush_mm }} mm", classes="dsm-number")
        with html.Div(classes="dsm-line dsm-limits", v_if="tool === 'paint' || tool === 'erase'"):
            with html.Label(classes="dsm-line", title=_LIMITS_TITLE):
                html.Input(type="checkbox", raw_attrs=['v-model="limits_brush"'])
                html.Span("Only {{ is_ct ? 'HU' : 'values' }}", classes="dsm-number")
            _number_box("brush_low", "Lowest intensity that the brush changes", disabled="!limits_brush")
            html.Span("to", classes="dsm-number")
            _number_box("brush_high", "Highest intensity that the brush changes", disabled="!limits_brush")
        with html.Div(classes="dsm-buttons"):
            for name, (text, title) in _FILTERS.items():
                _filter_button(actions, name, text, title)
        with html.Div(classes="dsm-buttons"):
            for name, (text, title) in _FILLS.items():
                _filter_button(actions, name, text, title)
            _number_box("margin_mm", "Millimetres to grow or shrink by", low=0.1, high=MOST_MM, step=0.1)
            html.Span("mm", classes="dsm-number")


def _filter_button(actions: Actions, name: str, text: str, title: str) -> None:
    v3.VBtn(
        text,
        size="small",
        variant="tonal",
        disabled=("running || editing",),
        click=(actions.edit, f"['{name}']"),
        raw_attrs=[f'title="{title}"'],
    )


def _number_box(
    variable: str,
    label: str,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float = 1,
    disabled: str = "false",
) -> None:
    """Add a box for a number, bound to a page variable; the label is for screen readers."""
    limits = [f'{name}="{value:g}"' for name, value in (("min", low), ("max", high)) if value is not None]
    html.Input(
        type="number",
        classes="dsm-number-box",
        disabled=(disabled,),
        raw_attrs=[f'aria-label="{label}"', f'step="{step:g}"', f'v-model.lazy="{variable}"', *limits],
    )
