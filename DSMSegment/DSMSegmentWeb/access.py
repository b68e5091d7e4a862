"""Access control of the server: this computer only, or with a token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from yarl import URL

from dsm.errors import ConfigError

TOKEN_VARIABLE = "DSM_WEB_TOKEN"  # noqa: S105  (its name, not its value)
_COOKIE = "dsm_web_token"
_MIN_TOKEN_CHARACTERS = 16
_HEADERS = {
    "X-Frame-Options": "DENY",  # no other site may show the page inside its own and have it clicked
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Access:
    """Requirements of a request.

    Args:
        host: That the server listens on.
        token: Secret; empty where only this computer can reach the server.
    """

    host: str
    token: str = ""

    @classmethod
    def to(cls, host: str, environment: Mapping[str, str]) -> Access:
        """Return the access rules of a host: beyond this computer, with the token of `$DSM_WEB_TOKEN` or a new one.

        Raises:
            ConfigError: If the token is too short to keep anybody out.
        """
        token = environment.get(TOKEN_VARIABLE, "")
        if token and len(token) < _MIN_TOKEN_CHARACTERS:
            raise ConfigError(
                f"The token in {TOKEN_VARIABLE} has {len(token)} characters; {_MIN_TOKEN_CHARACTERS} are needed.",
                hint=f"Unset {TOKEN_VARIABLE} to have one made.",
            )
        if not token and not is_loopback(host):
            token = secrets.token_urlsafe(24)
        return cls(host, token)

    def guard(self, app: web.Application) -> None:
        """Enforce the rules on all requests, web sockets included."""

        @web.middleware
        async def check_first(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._check(request)
            return await handler(request)

        app.middlewares.append(check_first)
        app.on_response_prepare.append(_add_headers)

    def _check(self, request: web.Request) -> None:
        if is_loopback(self.host) and not is_loopback(URL(f"http://{request.host}").host or ""):
            # Another site's name that was made to point at this computer (DNS rebinding).
            raise web.HTTPForbidden(text=f"This server is for {self.host}, not for {request.host}.")
        origin = request.headers.get("Origin")
        if origin is not None and URL(origin).authority != URL(f"http://{request.host}").authority:
            raise web.HTTPForbidden(text="This request comes from another site.")
        if self.token:
            self._check_token(request)

    def _check_token(self, request: web.Request) -> None:
        shown = request.query.get("token")
        if shown is not None and self._is_token(shown):
            # Out of the address, so that it stays neither in the history nor on the screen.
            response = web.HTTPFound(str(request.rel_url.without_query_params("token")))
            response.set_cookie(_COOKIE, shown, httponly=True, samesite="Lax", secure=request.secure)
            raise response
        if not self._is_token(request.cookies.get(_COOKIE, "")):
            raise web.HTTPUnauthorized(
                text="This page needs a token. Open the address that the server printed when it started; it ends in "
                "?token=..."
            )

    def _is_token(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode(), self.token.encode())


def token_cookie(token: str) -> str:
    """Return the cookie with a token, for programs that call a server."""
    return f"{_COOKIE}={token}"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is reachable from this computer only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
