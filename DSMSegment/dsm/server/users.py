"""Authentication: bearer tokens, of which only hashes are stored."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from dsm.errors import ConfigError

_USER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MIN_TOKEN = 16


class Users:
    """Users and the hashes of their tokens.

    Args:
        tokens: {token: user}.

    Raises:
        ConfigError: If a token is short, a name is odd, or there is none at all.
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        for token, user in tokens.items():
            if not _USER.fullmatch(user):
                raise ConfigError(f"{user[:40]!r} is no name of a user.", hint="Use letters, digits, dots and dashes.")
            if len(token) < _MIN_TOKEN:
                raise ConfigError(
                    f"The token of {user} has fewer than {_MIN_TOKEN} characters.",
                    hint="Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'.",
                )
        if not tokens:
            raise ConfigError("There is no user.", hint="Write a file with lines `name:token`.")
        self._users = {_digest(token): user for token, user in tokens.items()}

    @classmethod
    def from_file(cls, path: Path) -> Users:
        """Read lines `name:token`; empty lines and those that begin with `#` are skipped.

        Raises:
            ConfigError: If the file cannot be read, others may read it, or a line is wrong.
        """
        try:
            if path.stat().st_mode & 0o077:
                raise ConfigError(f"Others may read {path}.", hint=f"Run: chmod 600 {path}")
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"The tokens in {path} cannot be read ({error}).", hint="Check the path.") from error
        tokens: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            user, colon, token = line.partition(":")
            if not colon or token.strip() in tokens:
                raise ConfigError(f"Line {number} of {path} is not `name:token`, or a token is there twice.")
            tokens[token.strip()] = user.strip()
        return cls(tokens)

    @classmethod
    def with_new_token(cls) -> tuple[Users, str]:
        """Return one user `default` and the token that was drawn for them."""
        token = secrets.token_urlsafe(24)
        return cls({token: "default"}), token

    def find(self, token: str) -> str | None:
        """Return the user of a token (lookup by digest: no timing side channel)."""
        return self._users.get(_digest(token))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
