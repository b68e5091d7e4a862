"""Server that segments instead of this computer: its address and the token for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dsm.client.connection import Address, Connection, ConnectionTest, check_connection
from dsm.errors import ConfigError

TOKEN_VARIABLE = "DSM_REMOTE_TOKEN"  # noqa: S105  (its name, not its value)


@dataclass(frozen=True, slots=True)
class Remote:
    """Address and credentials of the server.

    Args:
        address: Of `dsm serve`, in full.
        token: Token issued by the server.
        certificate: PEM of an authority to trust instead of the system's; empty for the system's.
    """

    address: str
    token: str = field(repr=False)
    certificate: str = ""

    @classmethod
    def at(cls, address: str, certificate: Path | None, environment: Mapping[str, str]) -> Remote:
        """Return the server at an address, with the token of `$DSM_REMOTE_TOKEN`.

        A token on the command line would be visible to all users of this computer.

        Raises:
            RemoteError: If the address is malformed.
            ConfigError: If there is no token, or no such certificate file.
        """
        full = str(Address.parse(address))
        if certificate is not None and not certificate.is_file():
            raise ConfigError(f"There is no file {certificate}.", hint="Give the certificate of your authority as PEM.")
        token = environment.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise ConfigError(
                f"{full} needs a token, and {TOKEN_VARIABLE} is not set.",
                hint=f"Ask for one where `dsm serve` runs, and set {TOKEN_VARIABLE}.",
            )
        return cls(full, token, str(certificate.absolute()) if certificate else "")

    @property
    def arguments(self) -> list[str]:
        """Arguments of another process; the token is in its environment."""
        return ["--remote", self.address, *(["--certificate", self.certificate] if self.certificate else [])]

    def connection(self) -> Connection:
        """Return a connection; nothing is sent yet."""
        return Connection(self.address, self.token, certificate_file=self.certificate or None)

    def test(self) -> ConnectionTest:
        """Test the server and return the problem, if any; sends no scan."""
        return check_connection(self.address, self.token, certificate_file=self.certificate or None)
