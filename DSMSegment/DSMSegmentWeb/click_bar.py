"""Bar of the click tool, over the views: what a click does, and the way back."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from DSMSegmentWeb.actions import Actions
from DSMSegmentWeb.click_tool import CLICK_TOOLS, INSIDE, OUTSIDE
from DSMSegmentWeb.tool_button import tool_button

_KINDS = {
    INSIDE: ("Inside", "mdi-plus", "A click says: this belongs to it"),
    OUTSIDE: ("Outside", "mdi-minus", "A click says: this does not belong to it; or Ctrl+click"),
}
_STAY = "Lesions that you do not click stay as they are."
_HELP = "Click in a slice: inside. Ctrl+click: outside. Drag: several points."


def click_bar(actions: Actions) -> None:
    """Add the bar; hidden while the tool is not in use."""
    tools = " || ".join(f"tool === '{tool}'" for tool in CLICK_TOOLS)
    with html.Div(v_if=tools, classes="dsm-click-bar", raw_attrs=['role="region"', 'aria-label="Clicks"']):
        with html.Div(classes="dsm-line"):
            html.Span("{{ (rows.find((row) => row.id === selected) || {}).name }}", classes="dsm-click-name dsm-grow")
            html.Span(
                "{{ num_clicks }} {{ num_clicks === 1 ? 'point' : 'points' }}",
                classes="dsm-number dsm-click-count",
            )
        with html.Div(classes="dsm-line"):
            with v3.VBtnToggle(
                v_model=("tool",),
                mandatory=True,
                density="compact",
                variant="outlined",
                divided=True,
                raw_attrs=['role="group"', 'aria-label="Kind of the next click"'],
            ):
                for tool, words in _KINDS.items():
                    tool_button(tool, *words)
            v3.VBtn(
                "Take back",
                id="dsm-click-back",
                size="small",
                variant="tonal",
                disabled=("!num_clicks",),
                click=actions.take_click_back,
                raw_attrs=['title="Take the last click back (Backspace)"'],
            )
            v3.VBtn(
                "Done",
                id="dsm-click-done",
                size="small",
                variant="tonal",
                click="tool = ''",
                raw_attrs=['title="Leave the tool (Esc)"'],
            )
        html.Div(_STAY, v_if="lesions.length && !num_clicks", classes="dsm-click-note")
        with html.Div(v_if="running", classes="dsm-line dsm-click-run"):
            html.Span("{{ status }}{{ elapsed_s > 2 ? ` ${elapsed_s} s` : '' }}", classes="dsm-small dsm-grow")
            v3.VBtn(
                "Cancel",
                id="dsm-click-cancel",
                size="small",
                color="warning",
                click=actions.cancel,
                raw_attrs=['title="Cancel the run (Esc)"'],
            )
        v3.VProgressLinear(
            v_if="running",
            indeterminate=("progress < 0",),
            model_value=("progress",),
            color="primary",
            raw_attrs=['aria-label="Progress of the click"'],
        )
        html.Div(_HELP, v_if="!running && !click_note && !click_error", classes="dsm-small")
        html.Div("{{ click_note }}", v_if="click_note", classes="dsm-click-note", raw_attrs=['role="status"'])
        html.Div("{{ click_error }}", v_if="click_error", classes="dsm-click-error", raw_attrs=['role="alert"'])
