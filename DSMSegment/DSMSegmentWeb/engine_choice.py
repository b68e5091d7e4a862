"""Choice of model, device and precision for the next run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trame.widgets import html
from trame_server.state import State

from dsm.core.precision import AUTO, PRECISIONS
from dsm.errors import DSMError
from dsm.models.learned_elsewhere import other_models
from dsm.models.library import ModelLibrary, names_of_one_modality, trained_names
from dsm.models.store import ModelEntry, find_model, model_entry
from dsm.wire.messages import Device
from dsm.worker.devices import find_devices
from DSMSegmentLib import Backend, WorkerBackend

_AUTO_DEVICE = "auto"
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialChoices:
    """Choices that the page starts with.

    Args:
        model: Name or folder.
        device: `"cpu"`, `"cuda"`, ... or `"auto"`.
        precision: Of the encoding, see `dsm.core.precision`.
        modality: `"CT"` or `"MR"` for the first scan, whatever its file says; empty to find out.
    """

    model: str
    device: str
    precision: str
    modality: str = ""


class EngineChoice:
    """Model, device and precision of the worker on this computer; a server has its own.

    Args:
        state: Of the page: `model`, `device` and `precision` are what is chosen, `models`, `devices` and `precisions`
            what can be.
        backend: Computes the masks, here or on a server.
        initial: Choices at the start.
        on_changed: Called after a change.
    """

    def __init__(self, state: State, backend: Backend, initial: InitialChoices, on_changed: Callable[[], None]) -> None:
        self._state = state
        self._backend = backend
        self._on_changed = on_changed
        self._library = ModelLibrary().models()
        self._models = self._available(initial.model) if isinstance(backend, WorkerBackend) else {}
        self._others = self._others_of(next(iter(self._models), ""))
        self._devices = {_AUTO_DEVICE, initial.device}
        state.update(
            {
                "models": [_option(name, _model_title(entry)) for name, entry in self._models.items()],
                "devices": [_option(_AUTO_DEVICE, "Automatic"), *map(_option, self._devices - {_AUTO_DEVICE})],
                "precisions": [_option(AUTO, "Automatic (fastest)"), *map(_option, PRECISIONS)],
                "model": next(iter(self._models), ""),
                "device": initial.device,
                "precision": initial.precision,
            }
        )
        state.change("model", "device", "precision")(self._choose)

    def trained_in(self, modality: str) -> tuple[str, ...]:
        """Return the names that the model of the next run has learned in a modality; empty if unknown."""
        entry = self._readable_model
        return trained_names(entry, modality) if entry else ()

    @property
    def trained_only_in(self) -> Mapping[str, tuple[str, ...]]:
        """Names that the model of the next run has learned in one modality only; none if unknown."""
        entry = self._readable_model
        return names_of_one_modality(entry) if entry else {}

    @property
    def _readable_model(self) -> ModelEntry | None:
        """Model of the next run; that of a server is known after its first run, if it is on this computer, too."""
        entry = self._models.get(self._state.model)
        if entry is None:
            digest = self._backend.provenance.model_sha256
            entry = next((one for one in self._library if one.digest == digest), None)
        return entry

    @property
    def models(self) -> tuple[ModelEntry, ...]:
        """Models to choose from; none with a server, which has its own."""
        return tuple(self._models.values())

    @property
    def others(self) -> tuple[ModelEntry, ...]:
        """Models that segment what they have learned and the chosen one has not; unknown of a server."""
        return self._others

    async def find_devices(self) -> None:
        """Offer the devices of this computer; asking for them may take seconds."""
        if not self._models:
            return
        found = await asyncio.to_thread(find_devices)
        with self._state as state:
            known = [option for option in state.devices if option["value"] not in {device.id for device in found}]
            state.devices = [*known, *(_option(one.id, _device_title(one), disabled=not one.usable) for one in found)]
            self._devices |= {one.id for one in found if one.usable}

    def _available(self, model: str) -> dict[str, ModelEntry]:
        """Return the models by name, the one of the start first."""
        try:
            first = model_entry(find_model(model))
        except DSMError:
            return {}
        return {first.name: first} | {entry.name: entry for entry in self._library if entry.name != first.name}

    def _others_of(self, model: str) -> tuple[ModelEntry, ...]:
        entry = self._models.get(model)
        return other_models(entry.path) if entry else ()

    def _choose(self, model: str, device: str, precision: str, **_: Any) -> None:
        entry = self._models.get(model)
        # Of a browser, anything may come.
        if entry is None or device not in self._devices or precision not in (AUTO, *PRECISIONS):
            return
        if isinstance(self._backend, WorkerBackend):
            self._backend.choose(str(entry.path.resolve()), device, precision)
            self._others = self._others_of(model)
        self._on_changed()


def engine_choice() -> None:
    """Add the section; absent where a server computes."""
    with html.Details(v_if="models.length", classes="dsm-setup"):
        html.Summary(
            "Setup: {{ model }}, {{ device === 'auto' ? 'automatic device' : device }}, "
            "{{ precision === 'auto' ? 'automatic precision' : precision }}"
        )
        for variable, label in (("model", "Model"), ("device", "Device"), ("precision", "Precision")):
            select(variable, label, options=f"{variable}s")


def select(variable: str, label: str, *, options: str, title: str = "") -> None:
    """Add a labelled drop-down list bound to a page variable.

    Args:
        variable: Of the page.
        label: Shown before the list.
        options: Page variable with its entries: `value`, `title`, `disabled`.
        title: Tool tip of the label.
    """
    with html.Label(classes="dsm-line"):
        html.Span(label, classes="dsm-number dsm-choice", title=title)
        with html.Select(
            classes="dsm-grow dsm-select",
            id=f"dsm-{variable}",
            disabled=("running",),
            raw_attrs=[f'v-model="{variable}"'],
        ):
            html.Option(
                "{{ option.title }}",
                v_for=f"option in {options}",
                key="option.value",
                raw_attrs=[':value="option.value"', ':disabled="option.disabled"'],
            )


def _option(value: str, title: str = "", *, disabled: bool = False) -> dict[str, Any]:
    return {"value": value, "title": title or value, "disabled": disabled}


def _model_title(entry: ModelEntry) -> str:
    return f"{entry.name} ({entry.num_bytes / _MIB:.0f} MB)"


def _device_title(device: Device) -> str:
    title = f"{device.id}: {device.name}"
    return title if device.usable else f"{title} ({device.reason.rstrip('.')})"
