"""Remote server that segments instead of this computer: `dsm web --remote`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dsm.client.connection import Address, ConnectionTest, check_connection
from dsm.errors import ConfigError

TOKEN_VARIABLE = "DSM_REMOTE_TOKEN"  # noqa: S105  (its name, not its value)


@dataclass(frozen=True, slots=True)
class Remote:
    """Address and credentials of the server.

    Args:
        address: Of `dsm serve`, in full.
        token: That the server has given out.
        certificate: PEM of an authority to trust instead of the system's; empty for the system's.
    """

    address: str
    token: str = field(repr=False)
    certificate: str = ""

    @classmethod
    def at(cls, address: str, certificate: Path | None, environment: Mapping[str, str]) -> Remote:
        """Return the server at an address, with the token of `$DSM_REMOTE_TOKEN`.

        Not of the command line: everybody on this computer can see that.

        Raises:
            RemoteError: If it is no address.
            ConfigError: If there is no token, or no such certificate.
        """
        full = str(Address.parse(address))
        if certificate is not None and not certificate.is_file():
            raise ConfigError(f"There is no file {certificate}.", hint="Give the certificate of your authority as PEM.")
        token = environment.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise ConfigError(
                f"{full} needs a token, and {TOKEN_VARIABLE} is not set.",
                hint=f"Ask for one where `dsm serve` runs, and set it: {TOKEN_VARIABLE}=... dsm web --remote {full}",
            )
        return cls(full, token, str(certificate.absolute()) if certificate else "")

    @property
    def arguments(self) -> list[str]:
        """Command line arguments for scene processes; the token is in their environment."""
        return ["--remote", self.address, *(["--certificate", self.certificate] if self.certificate else [])]

    def test(self) -> ConnectionTest:
        """Test the server and return the problem, if any; sends no scan."""
        return check_connection(self.address, self.token, certificate_file=self.certificate or None)
