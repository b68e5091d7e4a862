"""Menu of a result, and the dialog that renames it."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from DSMSegmentWeb.actions import Actions


def row_menu(actions: Actions) -> None:
    """Add the menu of the result `row`."""
    with v3.VMenu(v_if="row.id"):
        with v3.Template(v_slot_activator="{ props }"):
            v3.VBtn(
                v_bind="props",
                icon="mdi-dots-vertical",
                size="x-small",
                variant="text",
                disabled=("running",),
                raw_attrs=[":aria-label=\"'More for ' + row.name\""],
            )
        with v3.VList(density="compact"):
            v3.VListItem(title="Rename...", click="renaming = row.id; new_name = row.name")
            v3.VListItem(title="Duplicate", click=(actions.duplicate, "[row.id]"))
            v3.VListItem(title="Show only this, or all", click=(actions.show_only, "[row.id]"))
            v3.VListItem(
                title=("row.reviewed ? 'Mark as not reviewed' : 'Mark as reviewed'",),
                click=(actions.toggle_reviewed, "[row.id]"),
            )
            v3.VListItem(title="Delete", click=(actions.delete, "[row.id]"))


def rename_dialog(actions: Actions) -> None:
    """Add the dialog, open while a result is renamed. Escape means Cancel."""
    rename = (actions.rename, "[renaming, new_name]")
    with v3.VDialog(
        model_value=("!!renaming",),
        update_modelValue="renaming = ''",
        max_width=420,
        raw_attrs=['aria-labelledby="dsm-rename-title"'],
    ):
        with v3.VCard(classes="dsm-dialog"):
            html.H2("Rename the result", id="dsm-rename-title")
            v3.VTextField(
                v_model=("new_name",),
                label="Name",
                autofocus=True,
                hide_details=True,
                density="compact",
                variant="outlined",
                enter=rename,
                __events=[("enter", "keydown.enter")],
            )
            html.Div(
                "Its code stays that of {{ (rows.find((row) => row.id === renaming) || {}).code }}.",
                classes="dsm-small",
            )
            with html.Div(classes="dsm-line"):
                html.Div(classes="dsm-grow")
                v3.VBtn("Cancel", variant="text", click="renaming = ''")
                v3.VBtn("Rename", variant="tonal", disabled=("!new_name.trim()",), click=rename)
