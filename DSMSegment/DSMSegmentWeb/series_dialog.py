"""Dialog for choosing a series of a folder."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from DSMSegmentWeb.actions import Actions


def series_dialog(actions: Actions) -> None:
    """Add the dialog, open while a choice is pending. Escape means Cancel."""
    with v3.VDialog(
        model_value=("series.length > 0",),
        update_modelValue=actions.cancel_series,
        max_width=560,
        scrollable=True,
        raw_attrs=['aria-labelledby="dsm-series-title"'],
    ):
        with v3.VCard(classes="dsm-dialog dsm-series"):
            html.H2("Choose a series", id="dsm-series-title")
            v3.VProgressLinear(v_show="opening", indeterminate=True, raw_attrs=['aria-label="Reading the series"'])
            html.Div("{{ error }}", v_if="error", classes="dsm-series-error", raw_attrs=['role="alert"'])
            with html.Ul():
                with html.Li(v_for="item in series", key="item.uid"):
                    with html.Button(
                        type="button",
                        disabled=("opening",),
                        click=(actions.choose_series, "[item.uid]"),
                    ):
                        html.Span("{{ item.title }}")
                        html.Span("{{ item.size }}", classes="dsm-small")
            v3.VBtn("Cancel", variant="text", disabled=("opening",), click=actions.cancel_series)
