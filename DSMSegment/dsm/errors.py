"""Exceptions of the engine: each has a stable `code` for programs and a `hint` for people."""

from __future__ import annotations


class DSMError(Exception):
    """Base of all errors that DSM raises on purpose.

    Args:
        message: What happened and why, in one sentence.
        code: Stable identifier, e.g. `"geometry.sheared"`. Defaults to the class's own.
        hint: What the user can do about it.
        details: Text for a log or a bug report; never shown in one line.
    """

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.hint = hint
        self.details = details

    @property
    def one_line(self) -> str:
        """Message and hint in one line, as the command line prints it."""
        return f"{self} {self.hint}".strip()


class InputError(DSMError, ValueError):
    """An argument or input cannot be used."""

    code = "input"


class ShapeError(InputError):
    """An array has the wrong number of axes or an impossible size."""

    code = "input.shape"


class GeometryError(InputError):
    """An affine is singular, sheared or not finite."""

    code = "geometry"


class ImageError(InputError):
    """A file is missing, unreadable or not an image that can be segmented."""

    code = "bad_image"


class PromptError(InputError):
    """A prompt is empty or too long."""

    code = "prompt"


class ConfigError(InputError):
    """A configuration has an unknown key or a value out of range."""

    code = "config"


class OutputError(DSMError, OSError):
    """A result cannot be written: no permission, disk full, unknown format."""

    code = "output"


class ModelError(DSMError):
    """A model folder cannot be used."""

    code = "no_model"


class ModelNotFoundError(ModelError):
    """No model of that name is installed."""

    code = "no_model"


class WeightsError(ModelError):
    """The weights are damaged or belong to another schema or network."""

    code = "bad_checksum"


class ResourceError(DSMError):
    """The machine lacks what the job needs."""

    code = "resource"


class OutOfMemoryError(ResourceError):
    """Neither main memory nor device memory sufficed."""

    code = "oom_ram"


class DeviceError(ResourceError):
    """The requested device does not exist or does not work."""

    code = "device"


class ProtocolError(DSMError):
    """A message cannot be understood."""

    code = "protocol"


class WorkerError(DSMError):
    """The worker process died or answered with an error."""

    code = "worker"


class RemoteError(DSMError):
    """The server cannot be reached, or does not serve the request."""

    code = "remote"


class ServerError(DSMError):
    """A request that the server cannot serve."""

    code = "request"


class MissingDependencyError(DSMError, ImportError):
    """An optional package is needed for this and is not installed."""

    code = "import_failed"


class JobCancelled(DSMError):  # noqa: N818  (a request, not an error: named as the field names it)
    """The user cancelled the job; nothing was written after that."""

    code = "cancelled"
