"""A server that computes the masks, in place of the worker process on this computer."""

from __future__ import annotations

from collections.abc import Sequence

from dsm import __version__
from dsm.client.cancel_token import CancelToken
from dsm.client.connection import Address, ConnectionTest, check_connection
from dsm.client.http import RemoteClient
from dsm.client.session import ClientSession, OnProgress, OnResult
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.core.segment_tags import Provenance
from dsm.core.volume import Volume
from dsm.errors import RemoteError
from dsm.models.store import no_click_network
from dsm.wire.messages import Release
from DSMSegmentLib.jobs.collection_guard import startThread
from DSMSegmentLib.jobs.run_estimate import Engine

# Time limit of `close` for a server that does not answer: it removes the volumes by itself after a while.
_CLOSE_S = 1.0


class RemoteBackend:
    """Backend that sends volumes and prompts to `dsm serve`; like `WorkerBackend`, it needs no Qt.

    Nothing is sent before `uploadAllowed` is true: ask the user first, once per `address`, and say what is sent and
    where. Until then `segment` raises. `choose` for another address takes the permission back. The token is kept in
    memory only, and is in no error, log or provenance.

    Args:
        address: E.g. `"https://server:8470"`; may come later, with `choose`.
        token: Bearer token.
        certificateFile: PEM of an authority to trust instead of the system's; empty for the system's.
        uploadAllowed: Whether the user has agreed that volumes are sent there.

    Example, for a host with a window:
        backend = RemoteBackend(address, token)
        found = backend.test()  # on a helper thread: `found.text` and `found.hint` say what is wrong, if not `found.ok`
        backend.uploadAllowed = userAgreesTo(backend.address)
        runs.use(backend)  # the runs to come; the worker of the backend before is ended
    """

    def __init__(
        self, address: str = "", token: str = "", *, certificateFile: str = "", uploadAllowed: bool = False
    ) -> None:
        self._address = address
        self._token = token
        self._certificateFile = certificateFile
        self._client: RemoteClient | None = None
        self._provenance = Provenance("", version=__version__)
        self._reasonNoClicks = ""
        self.uploadAllowed = uploadAllowed

    @property
    def address(self) -> str:
        """Full address of the server, the key of its consent; empty if it is invalid."""
        try:
            return str(Address.parse(self._address))
        except RemoteError:
            return ""

    @property
    def provenance(self) -> Provenance:
        """Name and hash of the server's model and its version; the device is the address."""
        return self._provenance

    @property
    def engine(self) -> Engine | None:
        """The server, whatever model it has."""
        return Engine(self.address) if self.address else None

    @property
    def reasonNoClicks(self) -> str:
        """See `Backend.reasonNoClicks`; known after `test` or a run."""
        return self._reasonNoClicks

    def choose(self, address: str, token: str, certificateFile: str = "") -> None:
        """Set server and token of later runs; volumes on the former server are removed."""
        if (address, token, certificateFile) == (self._address, self._token, self._certificateFile):
            return
        before = self.address
        self.close()
        self._address, self._token, self._certificateFile = address, token, certificateFile
        self._reasonNoClicks = ""
        self.uploadAllowed = self.uploadAllowed and self.address == before

    def test(self) -> ConnectionTest:
        """Try the server and say exactly what is wrong, if something is; sends no scan. Call it on a helper thread."""
        found = check_connection(self._address, self._token, certificate_file=self._certificateFile or None)
        if found.ok:
            self._noteClicks(str(found.capabilities.get("model", "")), bool(found.capabilities.get("clicks")))
        return found

    def segment(
        self,
        volume: Volume,
        prompts: Sequence[Prompt],
        options: SegmentOptions,
        *,
        onProgress: OnProgress,
        onResult: OnResult,
        cancel: CancelToken,
    ) -> None:
        """See `Backend.segment`. A volume is sent once, and stays on the server until two others were used after it.

        A server that does not stop within two seconds of a cancel is left alone; what it still says is dropped.

        Raises:
            RemoteError: If `uploadAllowed` is false (`"remote.consent"`), or the server cannot be reached or is lost.
            DSMError: If the server refuses or fails; `code` says why (`"quota"`, `"no_model"` ...).
        """
        if not self.uploadAllowed:
            raise RemoteError(
                f"Nobody has agreed that volumes are sent to {self.address}.",
                code="remote.consent",
                hint="Agree first, or let this computer segment.",
            )
        client = self._openClient()
        session = ClientSession(client, on_progress=onProgress, cancel=cancel)
        session.load("")  # whatever the server has
        ready = client.ready
        self._provenance = Provenance(ready.model, ready.model_sha256, ready.worker, ready.device)
        self._noteClicks(ready.model, ready.clicks)
        if not ready.clicks and any(prompt.clicks for prompt in prompts):
            raise no_click_network(ready.model)
        session.prepare(volume, prompts).segment(prompts, options, on_result=onResult)

    def release(self) -> None:
        """Remove the volumes from the server."""
        if self._client is not None and self._client.alive:
            self._client.submit(Release(id=self._client.new_id()))

    @property
    def log(self) -> str:
        """Empty: the log stays on the server."""
        return ""

    def close(self) -> None:
        """Stop what runs, and remove the volumes from the server; returns within about a second in any case."""
        client, self._client = self._client, None
        if client is not None:
            startThread(client.close, "dsm-remote-close").join(_CLOSE_S)

    def _noteClicks(self, model: str, takesClicks: bool) -> None:
        self._reasonNoClicks = "" if takesClicks else no_click_network(model).one_line

    def _openClient(self) -> RemoteClient:
        if self._client is None or not self._client.alive:
            self._client = RemoteClient(
                self._address,
                self._token,
                certificate_file=self._certificateFile or None,
                connect=False,
                start_thread=startThread,
            )
        return self._client
