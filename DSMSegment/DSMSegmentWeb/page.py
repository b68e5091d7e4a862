"""The page: the panel on the left, the four views beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import html
from trame.widgets import vuetify3 as v3
from trame_server import Server
from trame_slicer.core import LayoutManager

from DSMSegmentWeb.uploads import SUFFIXES

_EXPORTS = {
    "seg.nrrd": "Slicer segmentation",
    "nii.gz": "Label map",
    "json": "Names of the label map's values",
    "mrb": "Slicer scene",
}
# trame serves what stands here, and puts it into the page.
serve = {"dsm_web": str(Path(__file__).with_name("static"))}
scripts = ["dsm_web/page.js"]
styles = ["dsm_web/page.css"]


class Actions(Protocol):
    """What the buttons of the page do."""

    def segment(self, prompts: list[str], typed: str) -> None:
        """Run the prompts."""

    def cancel(self) -> None:
        """Stop the run."""

    def undo(self) -> None:
        """Take back the last run or stroke."""

    def select(self, segment_id: str) -> None:
        """Show a segment, and let the tools work on it."""

    def recolor(self, segment_id: str, color: str) -> None:
        """Give a segment a colour, as `#rrggbb`."""

    def toggle(self, segment_id: str) -> None:
        """Show or hide a segment."""


def build_page(server: Server, views: LayoutManager, actions: Actions) -> VAppLayout:
    """Lay the page out. What it shows is in the state of the server (`application.py`)."""
    with VAppLayout(server) as layout:
        layout.root.theme = "dark"
        with v3.VNavigationDrawer(permanent=True, width=330, raw_attrs=['aria-label="Segmentation"']):
            with html.Div(classes="dsm-panel"):
                _heading()
                _prompt(actions)
                _messages()
                _results(actions)
                _tools()
                _exports()
        with v3.VMain(classes="fill-height"):
            views.initialize_layout_grid(layout)
    return layout


def _heading() -> None:
    with html.Div():
        html.H1("DSM Segment")
        html.Div("Research use only. Not a medical device.", classes="dsm-small")
    with html.Div(classes="dsm-line"):
        html.Div("{{ volume_name || 'No scan is open' }}", classes="dsm-grow dsm-volume", title=("volume_name",))
        v3.VBtn(
            "Open",
            size="small",
            prepend_icon="mdi-folder-open-outline",
            loading=("opening",),
            disabled=("running",),
            click="window.document.getElementById('dsm-file').click()",
        )
        html.Input(
            id="dsm-file",
            type="file",
            accept=",".join((*SUFFIXES, ".gz")),  # some browsers look at the last part only
            style="display: none",
            raw_attrs=['aria-label="File of a scan"', '@change="window.dsmOpen($event.target)"'],
        )


def _prompt(actions: Actions) -> None:
    v3.VCombobox(
        v_model=("prompts",),
        v_model_search=("typed",),
        items=("vocabulary",),
        label="What to segment",
        placeholder="liver; left kidney",
        multiple=True,
        chips=True,
        closable_chips=True,
        delimiters=("[';']",),
        auto_select_first=False,
        hide_details=True,
        density="compact",
        variant="outlined",
        classes="dsm-prompt",
    )
    with html.Div(classes="dsm-line"):
        v3.VBtn(
            "Segment",
            v_if="!running",
            id="dsm-segment",
            color="primary",
            classes="dsm-grow",
            disabled=("!volume_name || opening",),
            click=(actions.segment, "[prompts, typed || '']"),
            raw_attrs=['title="Ctrl+Enter"'],
        )
        v3.VBtn("Cancel", v_else=True, color="warning", classes="dsm-grow dsm-cancel", click=actions.cancel)
        v3.VBtn(
            "Undo",
            disabled=("!can_undo || running",),
            variant="tonal",
            classes="dsm-undo",
            click=actions.undo,
        )


def _messages() -> None:
    v3.VProgressLinear(
        v_show="running || opening",
        indeterminate=("opening || progress < 0",),
        model_value=("progress",),
        color="primary",
        raw_attrs=['aria-label="Progress"'],
    )
    html.Div("{{ status }}", id="dsm-status", classes="dsm-status", raw_attrs=['role="status"', 'tabindex="0"'])
    with v3.VAlert(
        v_if="error",
        type="error",
        density="compact",
        closable=True,
        variant="tonal",
        classes="dsm-error",
        raw_attrs=['role="alert"', "@click:close=\"error = ''\"", 'close-label="Close the message"'],
    ):
        html.Span("{{ error }}")


def _results(actions: Actions) -> None:
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
                    raw_attrs=[':aria-pressed="row.id === selected"', 'title="Go to it"'],
                )
                html.Span("{{ row.name }}", v_else=True, classes="dsm-name")
                html.Span("{{ row.note }}", classes="dsm-number dsm-note")
                html.Span(
                    "{{ row.score.toFixed(2) }}",
                    v_if="row.score !== null",
                    classes="dsm-number dsm-score",
                    raw_attrs=['title="Score: how sure the network is that it is there, 0 to 1"'],
                )
                v3.VBtn(
                    v_if="row.id",
                    icon=("row.visible ? 'mdi-eye-outline' : 'mdi-eye-off-outline'",),
                    size="x-small",
                    variant="text",
                    click=(actions.toggle, "[row.id]"),
                    raw_attrs=[":aria-label=\"(row.visible ? 'Hide ' : 'Show ') + row.name\""],
                )


def _tools() -> None:
    with html.Div(v_if="selected"):
        html.H2("Correct {{ (rows.find((row) => row.id === selected) || {}).name }}")
        with html.Div(classes="dsm-line"):
            with v3.VBtnToggle(v_model=("tool",), density="compact", variant="outlined", divided=True):
                v3.VBtn("Paint", value="paint", size="small", prepend_icon="mdi-brush")
                v3.VBtn("Erase", value="erase", size="small", prepend_icon="mdi-eraser")
            _slider("brush_mm", 2, 60, step=1, label="Diameter of the brush in millimetres")
            html.Span("{{ brush_mm }} mm", classes="dsm-number")


def _exports() -> None:
    with html.Div():
        html.H2("Export")
        with html.Div(classes="d-flex flex-wrap ga-1 mt-1"):
            for kind, title in _EXPORTS.items():
                v3.VBtn(
                    f".{kind}",
                    href=f"export/{kind}",
                    size="small",
                    variant="tonal",
                    disabled=(
                        "!volume_name || running" if kind == "mrb" else "!rows.some((row) => row.id) || running",
                    ),
                    classes="text-none",
                    raw_attrs=["download", f'title="{title}"'],
                )
    with html.Div():
        html.H2("Threshold of the next run: {{ threshold.toFixed(2) }}")
        _slider("threshold", 0.05, 0.95, step=0.05, label="Probability from which a voxel is inside")


def _slider(variable: str, low: float, high: float, *, step: float, label: str) -> None:
    v3.VSlider(
        v_model=(variable,),
        min=low,
        max=high,
        step=step,
        hide_details=True,
        density="compact",
        raw_attrs=[f'aria-label="{label}"'],
    )
