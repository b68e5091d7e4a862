"""Access to a DICOMweb server: a token or password from the environment or a private file, and whom to trust."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dsm.errors import ConfigError

TOKEN_VARIABLE = "DSM_DICOMWEB_TOKEN"  # noqa: S105  (its name, not its value)


@dataclass(frozen=True, slots=True)
class DicomwebAccess:
    """Credentials and trust.

    Args:
        secret: A bearer token, or `name:password`; empty for a server that asks for neither.
        certificate: PEM of an authority to trust instead of the system's.
    """

    secret: str = field(default="", repr=False)
    certificate: Path | None = None

    @classmethod
    def of(
        cls, environment: Mapping[str, str], *, token_file: Path | None = None, certificate: Path | None = None
    ) -> DicomwebAccess:
        """Return the access by a file, else by `$DSM_DICOMWEB_TOKEN`.

        Raises:
            ConfigError: If a file cannot be read, or others may read the token.
        """
        if certificate is not None and not certificate.is_file():
            raise ConfigError(f"There is no file {certificate}.", hint="Give the certificate of your authority as PEM.")
        secret = _private_text(token_file) if token_file is not None else environment.get(TOKEN_VARIABLE, "")
        secret = secret.strip()
        if not secret.isprintable():
            raise ConfigError("The token has line breaks or control characters.", hint="Give one token, on one line.")
        return cls(secret, certificate)

    @property
    def headers(self) -> dict[str, str]:
        """Header of a request: `Basic` for `name:password` (no bearer token has a colon), else `Bearer`."""
        if not self.secret:
            return {}
        if ":" not in self.secret:
            return {"Authorization": f"Bearer {self.secret}"}
        return {"Authorization": f"Basic {b64encode(self.secret.encode()).decode()}"}


def _private_text(path: Path) -> str:
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigError(f"Others may read {path}.", hint=f"Run: chmod 600 {path}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The token in {path} cannot be read ({error}).", hint="Check the path.") from error
    if not text.strip():
        raise ConfigError(f"{path} is empty.", hint="Write the token, or NAME:PASSWORD, into it.")
    return text
