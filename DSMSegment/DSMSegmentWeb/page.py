"""Page layout: the panel on the left, four views beside it."""

from __future__ import annotations

from pathlib import Path

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v3
from trame_server import Server
from trame_slicer.core import LayoutManager

from dsm.io.formats import FORMATS
from DSMSegmentWeb.actions import Actions
from DSMSegmentWeb.click_bar import click_bar
from DSMSegmentWeb.consent_dialog import consent_dialog
from DSMSegmentWeb.correction_tools import correction_tools
from DSMSegmentWeb.download_all import ARCHIVE
from DSMSegmentWeb.engine_choice import engine_choice, select
from DSMSegmentWeb.exports import COMPANIONS, SCENE
from DSMSegmentWeb.key_help import key_help
from DSMSegmentWeb.lesion_list import lesion_list
from DSMSegmentWeb.result_list import result_list
from DSMSegmentWeb.row_menu import rename_dialog
from DSMSegmentWeb.series_dialog import series_dialog
from DSMSegmentWeb.slider import slider
from DSMSegmentWeb.uploads import SUFFIXES

# Whether a scan is on its way.
_BUSY = "(sending || opening)"
_HAS_SEGMENT = "rows.some((row) => row.id) && !running"
# Of each type: what it is, and when there is something to write.
_EXPORTS = {
    **{one.name: (one.label, _HAS_SEGMENT) for one in FORMATS if not one.needs_series},
    **dict.fromkeys(COMPANIONS, ("Label names (JSON)", _HAS_SEGMENT)),
    **{
        one.name: (f"{one.label} (DICOM series only)", f"is_dicom && {_HAS_SEGMENT}")
        for one in FORMATS
        if one.needs_series
    },
    SCENE: ("Slicer scene", "volume_name && !running"),
}
_ALL_TITLE = (
    "One .zip: .seg.nrrd, label map and names, DICOM SEG and RT Structure Set (of a DICOM series), surfaces (.stl),"
    " tables of the results and of lesions (.csv) and a picture of the views (.png)"
)
# Options of a prompt that are on or off, with the words of the panel in 3D Slicer.
SWITCHES = {
    "postprocess": (
        "Remove small islands",
        "Organs keep their largest island, tumors all islands of 0.1 ml or more at their organ.",
    ),
    "fast": (
        "Fast: skip the diffusion prompts of tumors",
        "Faster, with less accurate tumors. Organs are unaffected.",
    ),
    "guess": (
        "Show the network's guess for unknown names",
        "Names that the model has not learned get a mask, too, marked as a guess. By default they have none.",
    ),
    "uncertainty": ("Uncertainty maps", "Also compute an uncertainty map; takes more time and memory."),
}
_OPEN_TITLE = f"A scan ({', '.join(SUFFIXES)} of a DICOM series), or results of the scan that is open (.seg.nrrd, .zip)"
_MODALITY_TITLE = "Take the scan for CT (Hounsfield units) or MR, whatever its header and values say."
# Width and middle in HU.
_CT_WINDOWS = {"Soft tissue": (400, 40), "Lung": (1500, -600), "Bone": (1800, 400)}
_NAMES_ID = "dsm-names"
_CLICK_TITLE = "Click on what is named, for names that the model does not know"
# Stands in place of the page when the server does not answer any more; page.js waits for it to come back.
LOST = """<main id="dsm-lost" class="dsm-lost" role="alert"><h1>The server does not answer</h1>
<p>The page reconnects automatically. After a scene was closed, or the server was restarted, everything that was
not exported is lost.</p><p><a href="">Try now</a></p></main>"""
# trame serves what stands here, and puts it into the page.
serve = {"dsm_web": str(Path(__file__).with_name("static"))}
scripts = ["dsm_web/page.js"]
styles = ["dsm_web/page.css"]


def build_page(server: Server, views: LayoutManager, actions: Actions) -> VAppLayout:
    """Build the page. Its contents are in the state of the server (`application.py`)."""
    with VAppLayout(server) as layout:
        layout.root.theme = "dark"
        with v3.VNavigationDrawer(permanent=True, width=330, raw_attrs=['aria-label="Segmentation"']):
            with html.Div(classes="dsm-panel"):
                _heading()
                _prompt(actions)
                _messages()
                result_list(actions)
                lesion_list(actions)
                correction_tools(actions)
                _window(actions)
                _exports()
        series_dialog(actions)
        consent_dialog(actions)
        rename_dialog(actions)
        key_help()
        with v3.VMain(classes="fill-height"):
            with html.Div(classes="dsm-views"):
                views.initialize_layout_grid(layout)
            click_bar(actions)
    return layout


def _heading() -> None:
    with html.Div():
        with html.Div(classes="dsm-line"):
            html.H1("DSM Segment", classes="dsm-grow")
            v3.VBtn(
                icon="mdi-keyboard-outline",
                size="x-small",
                variant="text",
                id="dsm-show-keys",
                click="shows_keys = true",
                raw_attrs=['aria-label="Mouse and keys"', 'title="Mouse and keys (?)"'],
            )
        html.Div("Research use only. Not a medical device.", classes="dsm-small")
        html.Div("Segments on {{ remote }}.", v_if="remote", classes="dsm-small")
    with html.Div(classes="dsm-line"):
        html.Div("{{ volume_name || 'No scan is open' }}", classes="dsm-grow dsm-volume", title=("volume_name",))
        _open_button("Open file", "dsm-file", _OPEN_TITLE)
        _open_button("Folder", "dsm-folder", "Folder of a DICOM series")
    html.Div("{{ note }}", v_for="note in input_notes", key="note", title=("note",), classes="dsm-small dsm-input-note")
    html.Div("Or drop a file or a folder on the page.", v_if="!rows.length && !running", classes="dsm-small")
    # Not shown: the buttons press them.
    with html.Div(style="display: none"):
        html.Input(
            id="dsm-file",
            type="file",
            accept=",".join((*SUFFIXES, ".gz")),  # some browsers look at the last part only
            raw_attrs=['aria-label="File of a scan"', '@change="window.dsmOpen($event.target)"'],
        )
        html.Input(
            id="dsm-folder",
            type="file",
            raw_attrs=[
                'aria-label="Folder of a DICOM series"',
                "webkitdirectory",
                '@change="window.dsmOpen($event.target)"',
            ],
        )


def _open_button(text: str, input_id: str, title: str) -> None:
    v3.VBtn(
        text,
        size="small",
        variant="tonal",
        loading=(_BUSY,),
        disabled=("running",),
        click=f"window.document.getElementById('{input_id}').click()",
        raw_attrs=[f'title="{title}"'],
    )


def _prompt(actions: Actions) -> None:
    v3.VCombobox(
        v_model=("prompts",),
        v_model_search=("typed",),
        items=("window.dsmCompletions(vocabulary, typed, prompts)",),
        custom_filter=("window.dsmFind",),
        return_object=("false",),
        label="Structures",
        placeholder="liver; left kidney",
        multiple=True,
        chips=True,
        closable_chips=True,
        hide_selected=True,  # else each option holds a checkbox, and an option must hold no control
        list_props=(f"{{id: '{_NAMES_ID}'}}",),
        delimiters=("[';']",),
        auto_select_first=False,
        hide_details=True,
        density="compact",
        variant="outlined",
        classes="dsm-prompt",
        # Vuetify names the frame around the list, which is not what one chooses from.
        raw_attrs=[f'aria-controls="{_NAMES_ID}"'],
    )
    with html.Div(v_if="learned_organs.length && !prompts.length && !typed && !running", classes="dsm-learned"):
        html.Span("All learned organs:")
        html.Button(
            "{{ group.text }}",
            v_for="group in learned_organs",
            key="group.text",
            type="button",
            classes="dsm-small",
            disabled=(f"!volume_name || {_BUSY}",),
            click=(actions.segment, "[group.names, '']"),
            raw_attrs=[":title=\"`Segment all that a model has learned: ${group.names.join(', ')}`\""],
        )
    client.ClientStateChange(
        value="done_prompts.run",
        change=(
            "prompts = prompts.filter((name) => !done_prompts.names.includes(name.trim()));"
            "typed = done_prompts.names.includes((typed || '').trim()) ? '' : typed"
        ),
    )
    client.ClientStateChange(value="num_scans", change="prompts = []; typed = ''")
    with html.Div(classes="dsm-line"):
        v3.VBtn(
            "Segment",
            v_if="!running",
            id="dsm-segment",
            color="primary",
            classes="dsm-grow",
            disabled=(f"!volume_name || {_BUSY}",),
            click=(actions.segment, "[prompts, typed || '']"),
            raw_attrs=['title="Ctrl+Enter"'],
        )
        v3.VBtn(
            "Cancel",
            v_else=True,
            id="dsm-cancel",
            color="warning",
            classes="dsm-grow",
            click=actions.cancel,
            raw_attrs=['title="Esc"'],
        )
        with html.Span(v_if="!running", title=(f"no_clicks || '{_CLICK_TITLE}'",)):
            v3.VBtn(
                "Click",
                variant="tonal",
                classes="dsm-click-new",
                disabled=(f"!!no_clicks || !volume_name || {_BUSY}",),
                click=(actions.click_new, "[prompts, typed || '']"),
            )
        for text, keys, condition, click in (
            ("Undo", "Ctrl+Z", "can_undo", actions.undo),
            ("Redo", "Ctrl+Y or Ctrl+Shift+Z", "can_redo", actions.redo),
        ):
            name = text.lower()
            # Around the button, which has no tooltip while it is disabled.
            with html.Span(title=(f"{condition} ? '{text} ({keys})' : 'Nothing to {name}'",)):
                v3.VBtn(
                    icon=f"mdi-{name}",
                    size="small",
                    variant="text",
                    disabled=(f"!{condition} || running",),
                    id=f"dsm-{name}",
                    classes=f"dsm-{name}",
                    click=click,
                    raw_attrs=[f'aria-label="{text}"'],
                )
    # Below the buttons: hints come while one reaches for them, and must not move them away.
    with html.Ul(v_if="hints.length && !running", classes="dsm-hints", raw_attrs=['aria-label="Hints"']):
        html.Li(
            "{{ hint.text }}", v_for="hint in hints", key="hint.text", raw_attrs=[':class="`dsm-hint-${hint.level}`"']
        )
    with html.Details(classes="dsm-options"):
        html.Summary(
            "Next run: threshold {{ threshold.toFixed(2) }}{{ modality ? `, as ${modality}` : '' }}"
            "{{ postprocess ? '' : ', with small islands' }}{{ fast ? ', fast' : '' }}{{ guess ? ', guesses' : '' }}"
            "{{ uncertainty ? ', uncertainty maps' : '' }}"
        )
        with html.Div(classes="dsm-line"):
            html.Span("Threshold", classes="dsm-number", title="Minimum probability of a segmented voxel")
            slider("threshold", 0.05, 0.95, step=0.05, label="Threshold of the next run")
        select("modality", "Modality", options="modalities", title=_MODALITY_TITLE)
        for variable, (label, title) in SWITCHES.items():
            v3.VCheckbox(
                v_model=(variable,),
                label=label,
                density="compact",
                hide_details=True,
                disabled=("running",),
                raw_attrs=[f'title="{title}"'],
            )
    engine_choice()


def _messages() -> None:
    html.Div("{{ estimate }}", v_if=f"estimate && !running && !{_BUSY}", id="dsm-estimate", classes="dsm-small")
    v3.VProgressLinear(
        v_show=f"running || editing || {_BUSY}",
        indeterminate=(f"editing || {_BUSY} || progress < 0",),
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


def _window(actions: Actions) -> None:
    with html.Div(v_if="volume_name"):
        html.H2("Window {{ shown_window }}, level {{ shown_level }}")
        with html.Div(classes="dsm-buttons", v_if="is_ct"):
            for name, (window, level) in _CT_WINDOWS.items():
                v3.VBtn(name, size="small", variant="tonal", click=f"shown_window = {window}; shown_level = {level}")
        with html.Div(classes="dsm-buttons", v_else=True):
            v3.VBtn(
                "Auto",
                size="small",
                variant="tonal",
                click=actions.auto_window,
                raw_attrs=['title="From the darkest to the brightest tissue, without the extremes"'],
            )
        with html.Div(classes="dsm-sliders"):
            with html.Div(classes="dsm-line"):
                html.Span("Window", classes="dsm-number dsm-label")
                slider("shown_window", 1, ("value_high - value_low + 1",), step=1, label="Window")
            with html.Div(classes="dsm-line"):
                html.Span("Level", classes="dsm-number dsm-label")
                slider("shown_level", ("value_low",), ("value_high",), step=1, label="Level")


def _exports() -> None:
    with html.Div(classes="dsm-export"), html.Div(classes="dsm-buttons"):
        html.H2("Export")
        for kind, (title, condition) in _EXPORTS.items():
            v3.VBtn(
                f".{kind}",
                href=f"export/{kind}",
                size="small",
                variant="tonal",
                disabled=(f"!({condition})",),
                raw_attrs=["download", f'title="{title}"'],
            )
        v3.VBtn(
            "Download all",
            classes="dsm-last",
            href=f"export/{ARCHIVE}",
            size="small",
            color="primary",
            variant="tonal",
            loading=("writing",),
            disabled=(f"writing || !({_HAS_SEGMENT})",),
            raw_attrs=["download", f'title="{_ALL_TITLE}"'],
        )
