"""Protocol of a segmentation backend, and the worker process as the default one."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Sequence
from typing import Protocol

from dsm import __version__
from dsm.client.cancel_token import CancelToken
from dsm.client.process import WorkerClient
from dsm.client.session import ClientSession, OnProgress, OnResult
from dsm.client.worker_start import WorkerStart
from dsm.core.default_model import DEFAULT_MODEL
from dsm.core.options import SegmentOptions
from dsm.core.precision import AUTO
from dsm.core.prompt import Prompt
from dsm.core.segment_tags import Provenance
from dsm.core.volume import Volume
from dsm.errors import DSMError, WorkerError
from dsm.models.config import ModelConfig
from dsm.models.store import find_model, model_entry, no_click_network
from dsm.wire.messages import Ready, Release
from DSMSegmentLib.install.free_text import checkFreeText
from DSMSegmentLib.jobs.collection_guard import startThread
from DSMSegmentLib.jobs.run_estimate import Engine


class Backend(Protocol):
    """Source of masks, one run at a time. `segment` is called on a helper thread and must not touch the scene."""

    @property
    def provenance(self) -> Provenance:
        """Provenance of the masks; complete once a run has started to deliver."""

    @property
    def engine(self) -> Engine | None:
        """Engine on which the time of a run depends; None without a model."""

    @property
    def reasonNoClicks(self) -> str:
        """Reason why clicks cannot be segmented, in sentences; empty if they can, or if that is not known yet."""

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
        """Compute the prompts one after the other and hand each result to `onResult`.

        Raises:
            JobCancelled: Soon after `cancel` was requested.
            DSMError: If the run failed.
        """

    def close(self) -> None:
        """Free processes and memory."""


class WorkerBackend:
    """Backend that runs the model in the worker process, which starts with the first run and stays warm.

    Args:
        model: Name of an installed model, or the path of a model folder.
        device: `"cpu"`, `"cuda"`, ...
        precision: Of the encoding, see `dsm.core.precision`.
        python: Interpreter of the worker; None for Slicer's own, or this one outside of Slicer.
        environment: Variables for the worker only.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        device: str = "cpu",
        precision: str = AUTO,
        python: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._model = model
        self._device = device
        self._precision = precision
        # PythonSlicer sets up the libraries that Slicer's interpreter needs; Slicer itself is no interpreter.
        self._python = python or shutil.which("PythonSlicer") or sys.executable
        self._sharesPackages = python is None
        self._environment = environment or {}
        self._start: WorkerStart | None = None
        self._lock = threading.Lock()  # a run may begin while a test starts the worker, or the panel is closed
        self._numClosed = 0
        self._provenance = Provenance(model, version=__version__)

    @property
    def provenance(self) -> Provenance:
        """Name, hash and device of the model."""
        return self._provenance

    @property
    def engine(self) -> Engine | None:
        """The model and the device as they were chosen."""
        try:
            entry = model_entry(find_model(self._model))
            return Engine(f"{entry.digest} {self._device} {self._precision}", ModelConfig.load(entry.path))
        except DSMError:
            return None

    @property
    def reasonNoClicks(self) -> str:
        """See `Backend.reasonNoClicks`; empty without a model, which is a reason of its own."""
        try:
            entry = model_entry(find_model(self._model))
        except DSMError:
            return ""
        return "" if entry.has_clicks else no_click_network(entry.name).one_line

    @property
    def workerPid(self) -> int | None:
        """Process id of the running worker."""
        client = self._client
        return client.pid if client is not None and client.alive else None

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
        """See `Backend.segment`. Model and volume stay in the worker, so a second run on them starts at once.

        Of a CT that is not there yet, only the region of the request and what is around it is encoded; for clicks
        alone, nothing. A worker that does not stop within two seconds of a cancel is killed; the next run starts a new
        one.
        """
        if self._sharesPackages:
            checkFreeText([prompt for prompt in prompts if not prompt.clicks])
        numClosed = self._numClosed
        entry = model_entry(find_model(self._model))
        entry.check_clicks(prompts)
        session = ClientSession(self._runningClient(numClosed, cancel), on_progress=onProgress, cancel=cancel)
        done = session.load(str(entry.path.resolve()), device=self._device, precision=self._precision)
        self._provenance = Provenance(entry.name, entry.digest, __version__, done.device or self._device)
        scan = session.prepare(volume, prompts, region=options.region)
        scan.segment(prompts, options, on_result=onResult)

    def choose(self, model: str, device: str, precision: str) -> None:
        """Set model, device and precision of later runs."""
        self._model, self._device, self._precision = model, device, precision

    def test(self) -> Ready:
        """Start the worker and load the model, to see whether it works; may be called on a helper thread.

        Returns:
            Description of the worker and of the devices of this computer.

        Raises:
            DSMError: If there is no such model, or the worker or the model cannot be started.
        """
        numClosed = self._numClosed
        entry = model_entry(find_model(self._model))
        client = self._runningClient(numClosed)
        ClientSession(client).load(str(entry.path.resolve()), device=self._device, precision=self._precision)
        return client.ready

    def measure(self) -> float:
        """Return the seconds that a million working voxels take; call it after `test`, on a helper thread.

        Raises:
            DSMError: If the worker died, or gave back the model meanwhile.
        """
        return ClientSession(self._runningClient(self._numClosed)).measure()

    def release(self) -> None:
        """Free the memory of the model and of all encoded volumes in the worker."""
        client = self._client
        if client is not None and client.alive:
            client.submit(Release(id=client.new_id()))

    @property
    def log(self) -> str:
        """Last lines of the worker's log."""
        client = self._client
        return client.log if client is not None else ""

    def close(self) -> None:
        """End the worker, also one that is starting; a later run starts a new one."""
        with self._lock:
            self._numClosed += 1
            start, self._start = self._start, None
        if start is not None:
            start.close()

    @property
    def _client(self) -> WorkerClient | None:
        start = self._start
        return start.client if start is not None else None

    def _runningClient(self, numClosed: int, cancel: CancelToken | None = None) -> WorkerClient:
        """Return a worker that is ready.

        Args:
            numClosed: `_numClosed` as whoever asks began: after a `close` it gets no worker that nobody would end.
            cancel: Ends the waiting.
        """
        with self._lock:
            if numClosed != self._numClosed:
                raise WorkerError("The worker was closed.", code="worker.closed")
            dead = self._start if self._start is not None and not self._start.is_usable else None
            if self._start is None or dead is not None:
                self._start = WorkerStart(self._newClient, start_thread=startThread)
            start = self._start
        if dead is not None:
            dead.close()
        return start.wait(cancel)

    def _newClient(self, giveUp: threading.Event) -> WorkerClient:
        return WorkerClient(
            python=self._python,
            environment=self._environment,
            host=f"DSMSegment {__version__}",
            give_up=giveUp,
            start_thread=startThread,
        )
