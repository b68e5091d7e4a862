"""HTTP status of errors."""

from __future__ import annotations

from dsm.core.error_codes import error_code
from dsm.errors import DSMError, ServerError


def status_of(error: DSMError) -> int:
    """Return the HTTP status for an error: by its code, else 422 for what the user can change."""
    return error_code(error.code).http_status


def not_found(kind: str) -> ServerError:
    """Return the error for a missing object; one of another user looks the same."""
    code = "no_volume" if kind == "volume" else "not_found"
    return ServerError(f"There is no such {kind} (any more).", code=code, hint="Send it again.")
