"""Result list, with the most frequent actions."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from DSMSegmentLib.scene.uncertainty_overlay import COLORS
from DSMSegmentWeb.actions import Actions

_COLORS = f"background: linear-gradient(to right, {', '.join(COLORS)})"


def result_list(actions: Actions) -> None:
    """Add the list; hidden while there is no result."""
    with html.Div(v_if="rows.length"):
        html.H2("Results")
        with html.Ul(classes="dsm-rows"):
            with html.Li(
                v_for="row in rows",
                key="row.id || row.name",
                raw_attrs=[':class="{ selected: row.id && row.id === selected, missing: !row.id }"'],
            ):
                html.Input(
                    v_if="row.id",
                    type="color",
                    value=("row.color",),
                    change=(actions.recolor, "[row.id, $event.target.value]"),
                    raw_attrs=[":aria-label=\"'Colour of ' + row.name\""],
                )
                v3.VIcon("mdi-help-circle-outline", v_else=True, size="small")
                html.Button(
                    "{{ row.name }}",
                    v_if="row.id",
                    type="button",
                    classes="dsm-name",
                    click=(actions.select, "[row.id]"),
                    raw_attrs=[':aria-pressed="row.id === selected"', 'title="Show in the slices"'],
                )
                html.Span("{{ row.name }}", v_else=True, classes="dsm-name")
                html.Span("{{ row.note }}", classes="dsm-number dsm-note")
                html.Span(
                    "{{ row.score.toFixed(2) }}",
                    v_if="row.score !== null",
                    classes="dsm-number dsm-score",
                    raw_attrs=['title="Score: confidence that the structure is present, 0 to 1"'],
                )
                v3.VBtn(
                    v_if="row.id",
                    icon=("row.visible ? 'mdi-eye-outline' : 'mdi-eye-off-outline'",),
                    size="x-small",
                    variant="text",
                    click=(actions.toggle, "[row.id]"),
                    raw_attrs=[":aria-label=\"(row.visible ? 'Hide ' : 'Show ') + row.name\""],
                )
                v3.VBtn(
                    v_if="row.has_uncertainty",
                    icon="mdi-blur",
                    size="x-small",
                    variant=("row.id === uncertain ? 'flat' : 'text'",),
                    color=("row.id === uncertain ? 'primary' : undefined",),
                    click=(actions.toggle_uncertainty, "[row.id]"),
                    raw_attrs=[
                        ':aria-pressed="row.id === uncertain"',
                        ":aria-label=\"'Uncertainty of ' + row.name\"",
                        'title="Uncertainty map"',
                    ],
                )
        with html.Div(v_if="uncertain", classes="dsm-legend"):
            html.Div("Uncertainty of {{ (rows.find((row) => row.id === uncertain) || {}).name }}")
            with html.Div(classes="dsm-line"):
                html.Span("sure")
                html.Div(classes="dsm-colors dsm-grow", style=_COLORS)
                html.Span("undecided")
