"""List of the lesions of the selected result."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from DSMSegmentLib.scene.listed_lesions import MOST_LESIONS
from DSMSegmentWeb.actions import Actions

_COLUMNS = {"number": "", "diameters": "mm", "volume": "ml", "intensity": "{{ is_ct ? 'HU' : 'intensity' }}"}
_TITLE = (
    "`Show it: slice ${lesion.slice}. Longest diameter in an axial slice × the longest one perpendicular to it; "
    "volume; mean ± SD of the intensity`"
)


def lesion_list(actions: Actions) -> None:
    """Add the list; hidden unless the selected result is a tumor with a mask."""
    with html.Div(v_if="lesions.length", classes="dsm-lesions"):
        html.H2(
            f"{{{{ lesions.length === {MOST_LESIONS} ? 'The {MOST_LESIONS} largest' : lesions.length }}}} "
            "{{ lesions.length === 1 ? 'lesion' : 'lesions' }}"
        )
        with html.Div(classes="dsm-lesion-row dsm-small", raw_attrs=['aria-hidden="true"']):
            for name, title in _COLUMNS.items():
                html.Span(title, classes=f"dsm-lesion-{name}")
        with html.Ul(raw_attrs=['aria-label="Lesions"']):
            with html.Li(
                v_for="lesion in lesions",
                key="lesion.id",
                raw_attrs=[":class=\"['dsm-lesion-row', { selected: lesion.id === shown_lesion }]\""],
            ):
                with html.Button(
                    type="button",
                    classes="dsm-lesion-jump",
                    click=(actions.jump_to_lesion, "[lesion.id]"),
                    raw_attrs=[f':title="{_TITLE}"', ':aria-pressed="lesion.id === shown_lesion"'],
                ):
                    for name in _COLUMNS:
                        html.Span(f"{{{{ lesion.{name} }}}}", classes=f"dsm-lesion-{name}")
                v3.VBtn(
                    icon=("lesion.accepted ? 'mdi-check-circle' : 'mdi-check-circle-outline'",),
                    size="x-small",
                    variant="text",
                    color=("lesion.accepted ? 'success' : undefined",),
                    click=(actions.accept_lesion, "[lesion.id]"),
                    raw_attrs=[
                        ':aria-pressed="lesion.accepted"',
                        ':aria-label="`Accept lesion ${lesion.number}`"',
                        'title="Accept: looked at, and right"',
                    ],
                )
                v3.VBtn(
                    icon="mdi-close",
                    size="x-small",
                    variant="text",
                    disabled=("running",),
                    click=(actions.reject_lesion, "[lesion.id]"),
                    raw_attrs=[
                        ':aria-label="`Reject lesion ${lesion.number}`"',
                        'title="Reject: remove it from the mask"',
                    ],
                )
        html.Div("{{ lesion_note }}", v_if="lesion_note", classes="dsm-small")
