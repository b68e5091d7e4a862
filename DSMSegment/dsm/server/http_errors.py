"""HTTP responses of errors: a status, and a JSON object of code, text and hint."""

from __future__ import annotations

from dsm.core.error_codes import error_code
from dsm.errors import DSMError, ServerError


def status_of(error: DSMError) -> int:
    """Return the HTTP status for an error: by its code, else 422 for what the user can change."""
    return error_code(error.code).http_status


def not_found(what: str) -> ServerError:
    """Return the error for a missing object or one of another user: both look the same."""
    code = "no_volume" if what == "volume" else "not_found"
    return ServerError(f"There is no such {what} (any more).", code=code, hint="Send it again.")
