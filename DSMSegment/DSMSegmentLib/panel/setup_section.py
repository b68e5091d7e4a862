"""Setup section: computing on this computer or a server, with a test; folded once all is ready."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import slicer

from dsm.core.precision import AUTO, PRECISIONS
from dsm.errors import DSMError
from dsm.models.card import licence_key, licence_of
from dsm.models.learned_elsewhere import other_models
from dsm.models.library import ModelLibrary, names_of_one_modality, trained_names
from dsm.models.store import MANIFEST_FILE, ModelEntry
from dsm.wire.messages import Device, Ready
from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _
from DSMSegmentLib.install import dependencies, free_text
from DSMSegmentLib.jobs.backend import Backend, WorkerBackend
from DSMSegmentLib.jobs.background_call import BackgroundCall
from DSMSegmentLib.jobs.run_estimate import Engine
from DSMSegmentLib.panel.button_reason import enableOrExplain, reasonToWait
from DSMSegmentLib.panel.hints import PromptContext
from DSMSegmentLib.panel.remote_section import RemoteSection
from DSMSegmentLib.panel.settings import Settings

_GIB = 2**30
_MIB = 2**20


class SetupSection:
    """Connection of the widgets of the section.

    Args:
        ui: The widgets of the form by name.
        settings: Where the choices are kept.
        backend: The one of this computer; is told the choices, and tested.
        use: Called with the backend for the runs to come: this one, or that of a server.
        onChanged: Called when model, device, packages or server have changed.
        onMeasured: Called when a test has measured what a million working voxels take, in seconds.
        say: Shows a sentence in the status line.
    """

    def __init__(
        self,
        ui: Any,
        settings: Settings,
        backend: WorkerBackend,
        use: Callable[[Backend], None],
        onChanged: Callable[[], None],
        onMeasured: Callable[[Engine, float], None],
        say: Callable[[str], None],
    ) -> None:
        self._ui = ui
        self._settings = settings
        self._backend = backend
        self._use = use
        self._onChanged, self._onMeasured = onChanged, onMeasured
        self._say = say
        # Beside the user's settings: an update of the extension replaces its own folder.
        self._library = ModelLibrary(Path(slicer.app.slicerUserSettingsFilePath).parent / "DSMSegment" / "models")
        self._models: list[ModelEntry] = []
        self._others: tuple[ModelEntry, ...] = ()  # that help the chosen one
        self._devices: tuple[Device, ...] = ()
        self._call: BackgroundCall[Ready] | BackgroundCall[float] | None = None
        self._missing, self._missingFreeText = dependencies.missingRequirements(), free_text.missingForFreeText()
        self._remote = RemoteSection(ui, settings, self._apply, say)
        self._fillModels()
        self._fillDevices()
        self._fillPrecisions()
        ui.placeComboBox.setCurrentIndex(int(settings.isRemote))
        ui.placeComboBox.currentIndexChanged.connect(self._onPlace)
        ui.modelComboBox.currentIndexChanged.connect(self._onModel)
        ui.deviceComboBox.currentIndexChanged.connect(self._onDevice)
        ui.precisionComboBox.currentIndexChanged.connect(self._onPrecision)
        ui.installButton.clicked.connect(self._onInstall)
        ui.installFolderButton.clicked.connect(self._onInstallFromFolder)
        ui.installFreeTextButton.clicked.connect(self._onInstallForFreeText)
        ui.testButton.clicked.connect(self._onTest)
        ui.releaseButton.clicked.connect(self._onRelease)
        ui.installModelButton.clicked.connect(self._onInstallModel)
        ui.openModelFolderButton.clicked.connect(self._onOpenFolder)
        ui.deleteModelButton.clicked.connect(self._onDeleteModel)
        ui.hintsLabel.linkActivated.connect(self.choose)
        self._applyPlace()
        ui.setupCollapsibleButton.collapsed = not self.reason

    @property
    def model(self) -> ModelEntry | None:
        """The chosen model."""
        index = self._ui.modelComboBox.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else None

    def promptContext(self, modality: str, *, guess: bool, clicks: bool) -> PromptContext:
        """Return the context of the hints for the next run.

        Args:
            modality: `"CT"` or `"MR"`, of the volume; empty where unknown.
            guess: Whether the network may guess at names that it has not learned.
            clicks: Whether the model segments what is clicked.
        """
        model, isRemote = self.model, self._settings.isRemote
        if isRemote:  # the server has not said which names; it may have a model that is here, too
            model = next((one for one in self._models if one.digest == self._remote.modelSha256), None)
        return PromptContext(
            modality,
            trained_names(model, modality) if model else (),
            readsFreeText=isRemote or not self._missingFreeText,  # assumed of a server
            guess=guess,
            clicks=clicks,
            models=() if isRemote else tuple(self._models),  # a server has its own
            others=() if isRemote else self._others,
            onlyIn=names_of_one_modality(model) if model else {},
        )

    @property
    def reason(self) -> str:
        """Reason why no run can start; empty when all is ready."""
        if self._settings.isRemote:
            return self._remote.reason
        if why := dependencies.whyNotLocal(self._missing):
            return _("This computer cannot segment: {reason} Choose a remote server in the Setup section.").format(
                reason=why
            )
        if self._missing:
            return _("Python packages are missing; press Install in the Setup section.")
        if self.model is None:
            return _("No model is installed; install one in the Setup section.")
        return ""

    def confirm(self) -> str:
        """Ask for the consents that a run needs; returns the reason why it cannot start, or nothing."""
        if self._settings.isRemote:
            return "" if self._remote.confirmUpload() else _("Nothing was sent: consent was not given.")
        return "" if self._confirmLicence() else _("The licence of the model was not accepted.")

    def _confirmLicence(self) -> bool:
        """Ask for the acceptance of the licences, again only when weights or licence of a model have changed."""
        models = [self.model, *self._others] if self.model else []
        entries = [entry for entry in models if not self._settings.isLicenceAccepted(licence_key(entry))]
        if not entries:
            return True
        licences = [
            _("The weights of {name} have the licence:\n\n{licence}").format(
                name=entry.name, licence=licence_of(entry.path) or _("see the model card")
            )
            for entry in entries
        ]
        question = _("They are for research use only and not a medical device. Do you accept?")
        text = "\n\n".join([*licences, question])
        if not slicer.util.confirmOkCancelDisplay(text, windowTitle=_("Licence of the model")):
            return False
        for entry in entries:
            self._settings.acceptLicence(licence_key(entry))
        return True

    def choose(self, model: str) -> None:
        """Choose one of `models` by its name; not during a run."""
        if wait := reasonToWait(running=not self._ui.setupCollapsibleButton.enabled):
            self._say(wait)
            return
        self._ui.modelComboBox.setCurrentIndex([entry.name for entry in self._models].index(model))

    def poll(self) -> None:
        """Poll the test; call this from a timer."""
        call = self._call
        if call is not None and call.poll():
            if self._call is call:  # else it has started the next one
                self._call = None
            self._update()
        self._remote.poll()

    def setRunning(self, running: bool) -> None:
        """Disable the section during a run."""
        if running:
            self._ui.setupStatusLabel.text = reasonToWait(running=running)
        elif not self._ui.setupCollapsibleButton.enabled:
            self._update()
        self._ui.setupCollapsibleButton.enabled = not running

    def _fillModels(self) -> None:
        self._models = self._library.models()
        combo = self._ui.modelComboBox
        combo.blockSignals(True)
        combo.clear()
        for entry in self._models:
            combo.addItem(f"{entry.name} ({entry.num_bytes / _MIB:.0f} MB)")
        names = [entry.name for entry in self._models]
        combo.setCurrentIndex(names.index(self._settings.model) if self._settings.model in names else 0)
        combo.blockSignals(False)

    def _fillDevices(self) -> None:
        combo = self._ui.deviceComboBox
        combo.blockSignals(True)
        combo.clear()
        combo.addItem(_("Automatic"), "auto")
        for device in self._devices or (Device(id="cpu", name="CPU"),):
            combo.addItem(_deviceText(device), device.id)
        chosen = self._settings.device
        if combo.findData(chosen) < 0:  # of an earlier start, and what is shown must be what is used
            text = _("{name}: not found") if self._devices else _("{name}, not tested yet")
            combo.addItem(text.format(name=chosen), chosen)
        combo.setCurrentIndex(combo.findData(chosen))
        combo.blockSignals(False)

    def _fillPrecisions(self) -> None:
        combo = self._ui.precisionComboBox
        combo.addItem(_("Automatic (fastest)"), AUTO)
        for precision in PRECISIONS:
            combo.addItem(precision, precision)
        combo.setCurrentIndex(combo.findData(self._settings.precision))

    def _onModel(self, _index: Any = None) -> None:
        if self.model is not None:
            self._settings.model = self.model.name
        self._apply()

    def _onDevice(self, _index: Any = None) -> None:
        self._settings.device = self._ui.deviceComboBox.currentData or "auto"
        self._apply()

    def _onPrecision(self, _index: Any = None) -> None:
        self._settings.precision = self._ui.precisionComboBox.currentData or AUTO
        self._apply()

    def _onPlace(self, index: int) -> None:
        self._settings.isRemote = index == 1
        self._applyPlace()

    def _applyPlace(self) -> None:
        remote = self._settings.isRemote
        self._ui.localWidget.visible, self._ui.remoteWidget.visible = not remote, remote
        self._use(self._remote.backend if remote else self._backend)
        self._apply()

    def _apply(self) -> None:
        if self.model is not None:
            self._backend.choose(str(self.model.path), self._settings.device, self._settings.precision)
            self._others = other_models(self.model.path)
        self._update()
        self._onChanged()

    def _update(self) -> None:
        ui, model = self._ui, self.model
        ui.licenceLabel.text = (licence_of(model.path) or _("See the model card.")) if model else ""
        noModel = _("No model is installed.") if model is None else ""
        bundled = (
            _("This model is bundled with the extension.") if model and not self._library.is_removable(model) else ""
        )
        enableOrExplain(ui.deleteModelButton, not (noModel or bundled), noModel or bundled)
        enableOrExplain(ui.openModelFolderButton, not noModel, noModel)
        ui.installFolderButton.visible = bool(self._missing)
        ui.installButton.visible = bool(self._missing) and not dependencies.whyNotLocal(self._missing)
        ui.installFreeTextButton.visible = bool(self._missingFreeText) and not self._missing
        untested = _("Python packages are missing.") if self._missing else noModel
        untested = untested or (_("The test is running.") if self._call is not None else "")
        enableOrExplain(ui.testButton, not untested, untested)
        ui.setupStatusLabel.text = self.reason or self._readySentence()

    def _readySentence(self) -> str:
        """Return the device in use, and why it is not a GPU."""
        if self._settings.isRemote:
            return _("Volumes are sent to {address} and segmented there.").format(address=self._remote.backend.address)
        if self._devices and self._call is not None:
            return _("Measuring the encoding speed...")
        if not self._devices:
            return _("Ready. Press Test to see which devices can be used.")
        usable = [device for device in self._devices if device.usable]
        gpu = next((device for device in self._devices if device.id != "cpu"), None)
        if gpu is not None and not gpu.usable:
            return _("Ready. The CPU is used: {reason}").format(reason=gpu.reason)
        return _("Ready. {names} can be used.").format(names=", ".join(device.name for device in usable))

    def _onInstall(self, _checked: bool = False) -> None:
        self._install(dependencies.installMissing)

    def _onInstallFromFolder(self, _checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder of wheels"))
        if folder:
            self._install(partial(dependencies.installFromFolder, Path(folder)))

    def _onInstallForFreeText(self, _checked: bool = False) -> None:
        self._install(free_text.installForFreeText)

    def _install(self, install: Callable[[], None]) -> None:
        try:
            install()
        except DSMError as error:
            self._say(error.one_line)
        finally:  # a part may have been installed, whatever ended it
            self._missing, self._missingFreeText = dependencies.missingRequirements(), free_text.missingForFreeText()
            self._apply()
        if self._ui.testButton.enabled:  # that files are there does not mean that the worker can import them
            self._onTest()

    def _onTest(self, _checked: bool = False) -> None:
        self._call = BackgroundCall(self._backend.test, self._onTested)
        self._update()
        self._ui.setupStatusLabel.text = _("Starting the worker and loading the model...")

    def _onTested(self, ready: Ready | None, error: DSMError | None) -> None:
        if ready is None:
            self._say(error.one_line if error else "")
            return
        self._devices = ready.devices
        self._fillDevices()
        self._say(_("The worker is ready, with PyTorch {version}.").format(version=ready.torch))
        engine = self._backend.engine
        if engine is not None:
            self._call = BackgroundCall(self._backend.measure, partial(self._onSpeed, engine))

    def _onSpeed(self, engine: Engine, speed: float | None, error: DSMError | None) -> None:
        if speed is None:
            self._say(error.one_line if error else "")
        else:
            self._onMeasured(engine, speed)

    def _onRelease(self, _checked: bool = False) -> None:
        self._backend.release()
        self._say(_("The worker's memory was freed; the next run loads the model again."))

    def _onInstallModel(self, _checked: bool = False) -> None:
        chosen = qt.QFileDialog.getOpenFileName(
            None,
            _("Archive of a model, or the manifest.json in its folder"),
            "",
            _("Model (*.zip manifest.json)"),
        )
        path = Path(str(chosen[0] if isinstance(chosen, tuple) else chosen or ""))
        if not path.name:
            return
        try:
            entry = self._library.install(path.parent if path.name == MANIFEST_FILE else path)
        except DSMError as error:
            self._say(error.one_line)
            return
        self._settings.model = entry.name
        self._fillModels()
        self._apply()
        self._say(_("{name} is installed.").format(name=entry.name))

    def _onOpenFolder(self, _checked: bool = False) -> None:
        if self.model is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.model.path)))

    def _onDeleteModel(self, _checked: bool = False) -> None:
        entry = self.model
        if entry is None:
            return
        text = _("Delete {name} ({size:.0f} MB) from this computer?\n\n{folder}").format(
            name=entry.name, size=entry.num_bytes / _MIB, folder=entry.path
        )
        if not slicer.util.confirmOkCancelDisplay(text, windowTitle=_("Delete the model")):
            return
        try:
            self._library.remove(entry)
        except DSMError as error:
            self._say(error.one_line)
        self._fillModels()
        self._apply()


def _deviceText(device: Device) -> str:
    if not device.usable:
        return _("{name}: {reason}").format(name=device.name, reason=device.reason)
    if device.free:
        return _("{name}, {free:.1f} GB free").format(name=device.name, free=device.free / _GIB)
    return device.name
