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

# A number, or an expression of the page.
_Bound = float | tuple[str]
_HAS_SEGMENT = "rows.some((row) => row.id) && !running"
# Of each type: what it is, and when there is something to write.
_EXPORTS = {
    "seg.nrrd": ("Slicer segmentation", _HAS_SEGMENT),
    "nii.gz": ("Label map", _HAS_SEGMENT),
    "json": ("Names of the label map's values", _HAS_SEGMENT),
    "dcm": ("DICOM SEG, of a DICOM series", f"is_dicom && {_HAS_SEGMENT}"),
    "mrb": ("Slicer scene", "volume_name && !running"),
}
_TOOLS = {
    "paint": ("Paint", "mdi-brush", "Paint with a ball"),
    "erase": ("Erase", "mdi-eraser", "Erase with a ball"),
    "cut": ("Cut", "mdi-content-cut", "Scissors: take away what you draw round, through all slices"),
    "keep": ("Keep", "mdi-selection", "Scissors: keep only what you draw round, through all slices"),
}
_FILTERS = {
    "largest": ("Largest part", "Keep only the largest connected part"),
    "specks": ("No specks", "Take away parts of less than a millilitre"),
    "smooth": ("Smooth", "Make each voxel what most of its neighbours are"),
}
_THRESHOLD_TITLE = (
    "Probability from which a voxel is inside. Moving it starts from the answer of the network; Undo brings edits back."
)
# Width and middle in HU.
_CT_WINDOWS = {"Soft tissue": (400, 40), "Lung": (1500, -600), "Bone": (1800, 400)}
# Stands in place of the page when the server does not answer any more; page.js waits for it to come back.
LOST = """<main id="dsm-lost" class="dsm-lost" role="alert"><h1>The server does not answer</h1>
<p>The page goes on by itself as soon as it does. A scene that was closed, or a server that was started anew, has
forgotten what was not exported.</p><p><a href="">Try now</a></p></main>"""
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

    def edit(self, name: str) -> None:
        """Apply a filter to the segment that is selected."""


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
                _tools(actions)
                _window()
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
        _open_button("Open file", "dsm-file")
        _open_button("Folder", "dsm-folder")
        html.Input(
            id="dsm-file",
            type="file",
            accept=",".join((*SUFFIXES, ".gz")),  # some browsers look at the last part only
            style="display: none",
            raw_attrs=['aria-label="File of a scan"', '@change="window.dsmOpen($event.target)"'],
        )
        html.Input(
            id="dsm-folder",
            type="file",
            style="display: none",
            raw_attrs=[
                'aria-label="Folder of a DICOM series"',
                "webkitdirectory",
                '@change="window.dsmOpen($event.target)"',
            ],
        )


def _open_button(text: str, input_id: str) -> None:
    v3.VBtn(
        text,
        size="small",
        variant="tonal",
        loading=("opening",),
        disabled=("running",),
        click=f"window.document.getElementById('{input_id}').click()",
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
    # Beside the status, not in it: a screen reader would say every second.
    html.Div("{{ elapsed_s }} s", v_if="running && elapsed_s > 2", classes="dsm-small")
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


def _tools(actions: Actions) -> None:
    with html.Div(v_if="selected", classes="dsm-tools"):
        html.H2("Correct {{ (rows.find((row) => row.id === selected) || {}).name }}")
        with html.Div(v_if="(rows.find((row) => row.id === selected) || {}).threshold != null", classes="dsm-line"):
            html.Span("Threshold", classes="dsm-number", raw_attrs=[f'title="{_THRESHOLD_TITLE}"'])
            _slider("segment_threshold", 0.05, 0.95, step=0.01, label="Threshold of the segment")
            html.Span("{{ Number(segment_threshold).toFixed(2) }}", classes="dsm-number dsm-threshold")
        with v3.VBtnToggle(
            v_model=("tool",),
            density="compact",
            variant="outlined",
            divided=True,
            disabled=("running",),
            raw_attrs=['aria-label="Tool"'],
        ):
            for tool, (text, icon, title) in _TOOLS.items():
                v3.VBtn(text, value=tool, size="small", prepend_icon=icon, raw_attrs=[f'title="{title}"'])
        with html.Div(classes="dsm-line", v_if="tool === 'paint' || tool === 'erase'"):
            _slider("brush_mm", 2, 60, step=1, label="Diameter of the brush in millimetres")
            html.Span("{{ brush_mm }} mm", classes="dsm-number")
        with html.Div(classes="d-flex flex-wrap ga-1 mt-1"):
            for name, (text, title) in _FILTERS.items():
                v3.VBtn(
                    text,
                    size="small",
                    variant="tonal",
                    disabled=("running",),
                    click=(actions.edit, f"['{name}']"),
                    raw_attrs=[f'title="{title}"'],
                )


def _window() -> None:
    with html.Div(v_if="volume_name"):
        html.H2("Window {{ shown_window }}, level {{ shown_level }}")
        with html.Div(classes="d-flex ga-1 mt-1", v_if="is_ct"):
            for name, (window, level) in _CT_WINDOWS.items():
                v3.VBtn(name, size="small", variant="tonal", click=f"shown_window = {window}; shown_level = {level}")
        _slider("shown_window", 1, ("value_high - value_low + 1",), step=1, label="Window")
        _slider("shown_level", ("value_low",), ("value_high",), step=1, label="Level")


def _exports() -> None:
    with html.Div():
        html.H2("Export")
        with html.Div(classes="d-flex flex-wrap ga-1 mt-1"):
            for kind, (title, condition) in _EXPORTS.items():
                v3.VBtn(
                    f".{kind}",
                    href=f"export/{kind}",
                    size="small",
                    variant="tonal",
                    disabled=(f"!({condition})",),
                    classes="text-none",
                    raw_attrs=["download", f'title="{title}"'],
                )
    with html.Div():
        html.H2("Threshold of the next run: {{ threshold.toFixed(2) }}")
        _slider("threshold", 0.05, 0.95, step=0.05, label="Probability from which a voxel is inside")


def _slider(variable: str, low: _Bound, high: _Bound, *, step: float, label: str) -> None:
    v3.VSlider(
        v_model=(variable,),
        min=low,
        max=high,
        step=step,
        hide_details=True,
        density="compact",
        raw_attrs=[f'aria-label="{label}"'],
    )
