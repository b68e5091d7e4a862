"""Server settings: address, token, connection test, and the consent to send volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from dsm.client.connection import ConnectionTest
from dsm.errors import DSMError
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.jobs.background_call import BackgroundCall
from DSMSegmentLib.jobs.remote_backend import RemoteBackend
from DSMSegmentLib.panel.button_reason import enableOrExplain
from DSMSegmentLib.panel.consent import consentText
from DSMSegmentLib.panel.hints import HintLevel
from DSMSegmentLib.panel.settings import Settings


class RemoteSection:
    """Connect the widgets; `backend` follows their values.

    Args:
        ui: The widgets of the form by name.
        settings: Where address, token and consent are kept.
        onChanged: Called when another server was entered, or one has told its model.
        say: Shows a sentence in the status line.
    """

    def __init__(self, ui: Any, settings: Settings, onChanged: Callable[[], None], say: Callable[[str], None]) -> None:
        self._ui = ui
        self._settings = settings
        self._onChanged = onChanged
        self._say = say
        self._call: BackgroundCall[ConnectionTest] | None = None
        self._modelSha256 = ""
        server = settings.server
        self.backend = RemoteBackend(*server[:2], certificateFile=server[2])
        self._edits = (ui.serverAddressEdit, ui.serverTokenEdit, ui.serverCertificateEdit)
        for edit, text in zip(self._edits, server, strict=True):
            edit.setText(text)
            edit.editingFinished.connect(self._onEdited)
        ui.testConnectionButton.clicked.connect(self._onTest)
        ui.removeUploadsButton.clicked.connect(self._onRemove)

    @property
    def reason(self) -> str:
        """Reason why no run can start; empty when one can be tried."""
        if not self._edits[0].text.strip():
            return _("Enter the address of the server in the Setup section.")
        if not self.backend.address:
            return _("The server address is invalid; write it as https://server:8470.")
        return "" if self._edits[1].text.strip() else _("Enter the token for the server in the Setup section.")

    @property
    def modelSha256(self) -> str:
        """SHA-256 of the server's model; empty before it is known."""
        return self.backend.provenance.model_sha256 or self._modelSha256

    def confirmUpload(self) -> bool:
        """Ask once per server for the consent to send volumes; returns whether it was given."""
        address = self.backend.address
        if not self._settings.isUploadAllowed(address):
            text = consentText(address, _("Slicer closes")) + " " + _("This question appears once for each server.")
            if not slicer.util.confirmOkCancelDisplay(text, windowTitle=_("Send volumes to a server")):
                return False
            self._settings.allowUpload(address)
        self.backend.uploadAllowed = True
        return True

    def poll(self) -> None:
        """Poll the connection test; call this from a timer."""
        call = self._call
        if call is not None and call.poll():
            self._call = None
            self._update()

    def _update(self) -> None:
        enableOrExplain(self._ui.testConnectionButton, self._call is None, _("The test is running."))

    def _onEdited(self) -> None:
        server = tuple(edit.text.strip() for edit in self._edits)
        if server == self._settings.server:
            return
        self._settings.server = server
        self.backend.choose(*server)
        self._modelSha256 = ""
        self._call = None  # its answer would be about the server before
        self._update()
        self._ui.connectionLabel.text = ""
        self._onChanged()

    def _onTest(self, _checked: bool = False) -> None:
        self._onEdited()
        self._ui.connectionLabel.text = _("Contacting the server...")
        self._call = BackgroundCall(self.backend.test, self._onTested)
        self._update()

    def _onTested(self, found: ConnectionTest | None, error: DSMError | None) -> None:
        if found is None:
            text = f"{HintLevel.PROBLEM.value} {error.one_line if error else ''}"
        else:
            mark = HintLevel.GOOD if found.ok else HintLevel.PROBLEM
            text = f"{mark.value} {found.text} {found.hint}".strip()
            self._modelSha256 = str(found.capabilities.get("model_sha256", ""))
        self._ui.connectionLabel.text = text
        self._say(text)
        self._onChanged()

    def _onRemove(self, _checked: bool = False) -> None:
        self.backend.release()
        self._say(_("The volumes that were sent are removed from the server; the next run sends its volume again."))
