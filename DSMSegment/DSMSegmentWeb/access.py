"""Access control of the server: this computer only, or with a token."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from yarl import URL

from dsm.core.loopback import is_loopback
from dsm.errors import ConfigError
from DSMSegmentWeb.notice import notice

TOKEN_VARIABLE = "DSM_WEB_TOKEN"  # noqa: S105  (its name, not its value)
_COOKIE = "dsm_web_token"
_MIN_TOKEN_CHARACTERS = 16
_HEADERS = {
    "X-Frame-Options": "DENY",  # no other site may show the page inside its own and have it clicked
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with "no-referrer" our own form would come from "null"
    "Cache-Control": "no-store",
}

# To the address of the page itself. In a field, so that it stays neither in the history nor on the screen.
_FORM = """<form method="post"><input type="password" name="token" aria-label="Token" autocomplete="current-password"
required autofocus><button>Open</button></form>"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Access:
    """Requirements of a request.

    Args:
        host: Address that the server listens on.
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
            self._check_site(request)
            if self.token and not self._is_token(request.cookies.get(_COOKIE, "")):
                return await self._log_in(request)
            return await handler(request)

        app.middlewares.append(check_first)
        app.on_response_prepare.append(_add_headers)

    def _check_site(self, request: web.Request) -> None:
        if is_loopback(self.host) and not is_loopback(URL(f"http://{request.host}").host or ""):
            # Another site's name that was made to point at this computer (DNS rebinding).
            raise web.HTTPForbidden(text=f"This server is for {self.host}, not for {request.host}.")
        origin = request.headers.get("Origin")
        if origin is not None and URL(origin).authority != URL(f"http://{request.host}").authority:
            raise web.HTTPForbidden(text="This request comes from another site.")

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        """Answer a form with the token by a cookie, and anything else by the form."""
        shown = (await request.post()).get("token") if request.method == "POST" else None
        if isinstance(shown, str) and self._is_token(shown.strip()):
            # Relative: a proxy may have put the page elsewhere.
            response = web.Response(status=303, headers={"Location": request.rel_url.name or "."})
            response.set_cookie(_COOKIE, self.token, httponly=True, samesite="Lax", secure=is_encrypted(request))
            return response
        text = "That is not the token. " if shown is not None else ""
        return notice(401, "Token", f"{text}The server printed it when it started, or its operator has it.", _FORM)

    def _is_token(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode(), self.token.encode())


def is_encrypted(request: web.Request) -> bool:
    """Return whether the connection of the browser is encrypted: here, or at a proxy that says so.

    Whoever says so gets cookies that are sent over encrypted connections only, which harms nobody else.
    """
    scheme = request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip()  # the first proxy is the browser's
    return request.secure or scheme.casefold() == "https"


def token_cookie(token: str) -> str:
    """Return the cookie with a token, for programs that call a server."""
    return f"{_COOKIE}={token}"


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
