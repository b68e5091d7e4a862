"""Consent before the first scan is sent to a server."""

from __future__ import annotations

from collections.abc import Callable

from trame_server.state import State

from DSMSegmentLib import Backend, RemoteBackend
from DSMSegmentLib.panel.consent import consentText


class Consent:
    """Consent dialog, shown once per scene.

    Args:
        state: Of the page.
        backend: Computes the masks, here or on a server.
    """

    def __init__(self, state: State, backend: Backend) -> None:
        self._state = state
        self._server = backend if isinstance(backend, RemoteBackend) else None
        self._then: Callable[[], None] | None = None
        state.remote = self._server.address if self._server else ""

    @property
    def is_missing(self) -> bool:
        """True if consent is required first."""
        return self._server is not None and not self._server.uploadAllowed

    def ask(self, then: Callable[[], None]) -> None:
        """Ask for consent, and continue if it is given."""
        if self._server is not None:
            self._then = then
            self._state.consent = consentText(self._server.address, "the scene of this page is closed")

    def answer(self, *, agreed: bool) -> None:
        """Handle the answer."""
        then, self._then = self._then, None
        self._state.consent = ""
        if agreed and self._server is not None and then is not None:
            self._server.uploadAllowed = True
            then()
