"""User settings, stored in Slicer's settings file under `DSMSegment/`."""

from __future__ import annotations

import json
from typing import Any

from dsm.core.default_model import DEFAULT_MODEL
from dsm.core.precision import AUTO, PRECISIONS
from dsm.text.prompt import split_prompts
from DSMSegmentLib.application import qt

_MAX_HISTORY = 50
_SERVER = ("serverAddress", "serverToken", "serverCertificate")


class Settings:
    """Settings as JSON text: QSettings returns different types on different platforms."""

    def __init__(self) -> None:
        self._store = qt.QSettings()

    @property
    def model(self) -> str:
        """Name or folder of the chosen model."""
        return str(self._get("model", DEFAULT_MODEL))

    @model.setter
    def model(self, name: str) -> None:
        self._set("model", name)

    @property
    def device(self) -> str:
        """Device; `"auto"` for the first usable GPU, else the CPU."""
        return str(self._get("device", "auto"))

    @device.setter
    def device(self, device: str) -> None:
        self._set("device", device)

    @property
    def precision(self) -> str:
        """Of the encoding: one of `dsm.core.precision`."""
        precision = str(self._get("precision", AUTO))
        return precision if precision in PRECISIONS else AUTO

    @precision.setter
    def precision(self, precision: str) -> None:
        self._set("precision", precision)

    @property
    def encodingSpeeds(self) -> dict[str, float]:
        """Measured speeds of earlier runs; see `RunEstimates`."""
        speeds = self._get("encodingSpeeds", {})
        if not isinstance(speeds, dict):
            return {}
        return {str(key): float(value) for key, value in speeds.items() if isinstance(value, (int, float))}

    def keepEncodingSpeeds(self, speeds: dict[str, float]) -> None:
        """Store the measured speeds."""
        self._set("encodingSpeeds", speeds)

    @property
    def promptHistory(self) -> list[str]:
        """Prompts of earlier runs, the newest first; the same prompts once, whether `;` or lines separate them."""
        texts: dict[tuple[str, ...], str] = {}
        for text in self._get("promptHistory", []):
            texts.setdefault(tuple(split_prompts(str(text))), str(text))
        return list(texts.values())

    def addToHistory(self, prompts: str) -> None:
        """Put prompts at the head of the history."""
        self._set("promptHistory", [prompts.strip(), *self.promptHistory])
        self._set("promptHistory", self.promptHistory[:_MAX_HISTORY])

    def isLicenceAccepted(self, key: str) -> bool:
        """Return whether a licence was accepted; `key` is `dsm.models.card.licence_key` of the model."""
        return key in self._get("acceptedLicences", [])

    def acceptLicence(self, key: str) -> None:
        """Store the acceptance of a model's licence."""
        if not self.isLicenceAccepted(key):
            self._set("acceptedLicences", [*self._get("acceptedLicences", []), key])

    @property
    def isRemote(self) -> bool:
        """True if a server segments instead of this computer."""
        return bool(self._get("isRemote", False))

    @isRemote.setter
    def isRemote(self, remote: bool) -> None:
        self._set("isRemote", remote)

    @property
    def server(self) -> tuple[str, str, str]:
        """Address, token and certificate file of the server; empty texts at first."""
        address, token, certificate = (str(self._get(key, "")) for key in _SERVER)
        return address, token, certificate

    @server.setter
    def server(self, server: tuple[str, str, str]) -> None:
        for key, value in zip(_SERVER, server, strict=True):
            self._set(key, value)

    def isUploadAllowed(self, address: str) -> bool:
        """Return whether the user has consented to sending volumes to this address."""
        return address in self._get("allowedServers", [])

    def allowUpload(self, address: str) -> None:
        """Store the consent of the user."""
        if not self.isUploadAllowed(address):
            self._set("allowedServers", [*self._get("allowedServers", []), address])

    def _get(self, key: str, default: Any) -> Any:
        text = self._store.value(f"DSMSegment/{key}")
        try:
            return json.loads(text) if text else default
        except (TypeError, ValueError):  # damaged, or of another version
            return default

    def _set(self, key: str, value: Any) -> None:
        self._store.setValue(f"DSMSegment/{key}", json.dumps(value))
