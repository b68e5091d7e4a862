"""Dialog that asks for consent to send a scan to a server."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from DSMSegmentWeb.actions import Actions


def consent_dialog(actions: Actions) -> None:
    """Add the dialog, open while consent is requested. Escape means no."""
    with v3.VDialog(
        model_value=("!!consent",),
        update_modelValue=(actions.consent, "[false]"),
        max_width=560,
        scrollable=True,
        raw_attrs=['aria-labelledby="dsm-consent-title"'],
    ):
        with v3.VCard(classes="dsm-dialog"):
            html.H2("Send the scan to a server?", id="dsm-consent-title")
            html.Div("{{ consent }}", classes="dsm-consent", raw_attrs=['tabindex="0"'])
            with html.Div(classes="dsm-line"):
                html.Div(classes="dsm-grow")
                v3.VBtn("Do not send", variant="text", click=(actions.consent, "[false]"))
                v3.VBtn("Agree", variant="tonal", click=(actions.consent, "[true]"))
