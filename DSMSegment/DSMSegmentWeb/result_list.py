"""Result list, with the most frequent actions."""

from __future__ import annotations

from trame.widgets import client, html
from trame.widgets import vuetify3 as v3

from DSMSegmentLib.scene.uncertainty_overlay import COLORS
from DSMSegmentWeb.actions import Actions
from DSMSegmentWeb.click_tool import CLICK_TOOLS
from DSMSegmentWeb.row_menu import row_menu

_IS_CLICKED = "(row.id === selected && (" + " || ".join(f"tool === '{tool}'" for tool in CLICK_TOOLS) + "))"
_COLORS = f"background: linear-gradient(to right, {', '.join(COLORS)})"


def result_list(actions: Actions) -> None:
    """Add the list; hidden while there is no result."""
    with html.Div(v_if="rows.length", classes="dsm-results"):
        html.H2("Results")
        for cause in ("selected", "tool"):  # a brush takes room from the list
            client.ClientStateChange(value=cause, change="window.dsmShowSelected()")
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
                html.Span("{{ row.note }}", classes="dsm-number dsm-note", raw_attrs=[':title="row.warnings"'])
                for text, label, condition, click in (
                    ("click on it", "Click on ", "!row.id && !no_clicks", (actions.click_new, "[[row.name], '']")),
                    ("draw it", "Draw ", "!row.id", (actions.draw_new, "[row.name]")),
                ):
                    html.Button(
                        text,
                        v_if=condition,
                        type="button",
                        classes="dsm-number dsm-click-it",
                        disabled=("running",),
                        click=click,
                        raw_attrs=[f":aria-label=\"'{label}' + row.name\""],
                    )
                html.Span(
                    "{{ row.score === null ? '–' : row.score.toFixed(2) }}",
                    v_if="row.id || row.score !== null",
                    classes="dsm-number dsm-score",
                    raw_attrs=['title="Score: probability that the mask is right, 0 to 1; – where there is none"'],
                )
                v3.VBtn(
                    v_if="row.id",
                    icon=("row.visible ? 'mdi-eye-outline' : 'mdi-eye-off-outline'",),
                    size="x-small",
                    variant="text",
                    click=(actions.toggle, "[row.id]"),
                    raw_attrs=[":aria-label=\"(row.visible ? 'Hide ' : 'Show ') + row.name\""],
                )
                with html.Span(v_if="row.id", title=("no_clicks || 'Correct it by clicks'",)):
                    v3.VBtn(
                        icon="mdi-target",
                        size="x-small",
                        variant=(f"{_IS_CLICKED} ? 'flat' : 'text'",),
                        color=(f"{_IS_CLICKED} ? 'primary' : undefined",),
                        disabled=("!!no_clicks",),
                        click=(actions.click_on, "[row.id]"),
                        raw_attrs=[f':aria-pressed="{_IS_CLICKED}"', ":aria-label=\"'Click on ' + row.name\""],
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
                row_menu(actions)
                html.Div("{{ row.code }}", v_if="row.id && row.code !== row.name", classes="dsm-code")
                html.Div("reviewed", v_if="row.reviewed", classes="dsm-reviewed", raw_attrs=[':title="row.warnings"'])
                html.Div(
                    "{{ row.mark }}",
                    v_if="row.mark && !row.reviewed",
                    classes="dsm-mark",
                    raw_attrs=[':title="row.warnings"', 'tabindex="0"'],
                )
        with html.Div(v_if="uncertain", classes="dsm-legend"):
            html.Div("Uncertainty of {{ (rows.find((row) => row.id === uncertain) || {}).name }}")
            with html.Div(classes="dsm-line"):
                html.Span("sure")
                html.Div(classes="dsm-colors dsm-grow", style=_COLORS)
                html.Span("undecided")
