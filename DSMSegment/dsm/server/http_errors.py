"""HTTP responses of errors: a status, and a JSON object of code, text and hint."""

from __future__ import annotations

from dsm.errors import DSMError

_STATUS = {
    "token": 401,
    "not_found": 404,
    "no_volume": 404,
    "upload.length": 411,
    "upload.too_large": 413,
    "upload.checksum": 400,
    "upload.truncated": 400,
    "quota": 429,
    "busy": 429,
    "disk_full": 507,
    "closing": 503,
}


class ServerError(DSMError):
    """A request that cannot be served."""

    code = "request"


def status_of(error: DSMError) -> int:
    """Return the HTTP status for an error: by its code, else 422 for what the user can change."""
    return _STATUS.get(error.code, 422)


def not_found(what: str) -> ServerError:
    """Return the error for a missing object or one of another user: both look the same."""
    code = "no_volume" if what == "volume" else "not_found"
    return ServerError(f"There is no such {what} (any more).", code=code, hint="Send it again.")
