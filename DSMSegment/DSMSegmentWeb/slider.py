"""Slider widget of the panel."""

from __future__ import annotations

from trame.widgets import vuetify3 as v3

# A number, or an expression of the page.
Bound = float | tuple[str]


def slider(variable: str, low: Bound, high: Bound, *, step: float, label: str) -> None:
    """Add a slider bound to a page variable; the label is for screen readers."""
    v3.VSlider(
        v_model=(variable,),
        min=low,
        max=high,
        step=step,
        hide_details=True,
        density="compact",
        raw_attrs=[f'aria-label="{label}"'],
    )
