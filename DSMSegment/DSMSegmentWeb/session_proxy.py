"""Reverse proxy: authenticates browsers, assigns each a scene, and forwards its traffic."""

from __future__ import annotations

import asyncio
import html
import secrets
from collections.abc import AsyncIterator

from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    WSMsgType,
    web,
)
from yarl import URL

from dsm.errors import DSMError
from DSMSegmentWeb.access import Access, is_encrypted
from DSMSegmentWeb.browser_sessions import BrowserSession, BrowserSessions
from DSMSegmentWeb.notice import notice

_BROWSER_COOKIE = "dsm_web_browser"
_MIN_BROWSER_ID = 32
_HEARTBEAT_S = 20.0
_CHUNK_BYTES = 1 << 16
# Belong to one connection, or to the gate alone.
_HOP_HEADERS = {"host", "origin", "cookie", "connection", "keep-alive", "transfer-encoding", "upgrade", "expect"}

_Socket = web.WebSocketResponse | ClientWebSocketResponse


class SessionProxy:
    """Routes `/` (a new scene) and `/scene/ID/...` (an existing one).

    Args:
        scenes: All of this server.
        access: Access control.
    """

    def __init__(self, scenes: BrowserSessions, access: Access) -> None:
        self._scenes = scenes
        self._access = access
        self._client: ClientSession

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application()
        self._access.guard(app)
        app.router.add_get("/", self._open_scene)
        app.router.add_get("/scene/{id}/ws", self._join)
        app.router.add_route("*", "/scene/{id}/{rest:.*}", self._forward)
        app.cleanup_ctx.append(self._run)
        return app

    async def _run(self, _app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(auto_decompress=False, timeout=ClientTimeout(total=None)) as self._client:
            closing = asyncio.create_task(self._scenes.close_idle())
            yield
            closing.cancel()
            await self._scenes.close()

    async def _open_scene(self, request: web.Request) -> web.Response:
        if request.headers.get("Sec-Fetch-Dest", "document") != "document":
            # A picture or a script of another site: no person waits for this scene.
            raise web.HTTPForbidden(text="Open this address in a browser.")
        owner = request.cookies.get(_BROWSER_COOKIE, "")
        if len(owner) < _MIN_BROWSER_ID:
            owner = secrets.token_urlsafe(_MIN_BROWSER_ID)
        try:
            scene = await self._scenes.take(owner)
        except DSMError as error:
            return _notice(503, "No scene could be opened", error.one_line, "Try again", ".")
        response = web.Response(status=302, headers={"Location": f"scene/{scene.id}/index.html"})
        response.set_cookie(_BROWSER_COOKIE, owner, httponly=True, samesite="Lax", secure=is_encrypted(request))
        return response

    def _scene_of(self, request: web.Request) -> BrowserSession | None:
        return self._scenes.find(request.match_info["id"], request.cookies.get(_BROWSER_COOKIE, ""))

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        scene = self._scene_of(request)
        if scene is None:
            return _closed()
        scene.note_use()
        # As sent: the process handles `%2e%2e`; the proxy serves no files.
        target = URL(f"{scene.address}/{request.raw_path.split('/', 3)[3]}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_HEADERS}
        try:
            async with self._client.request(
                request.method,
                target,
                data=request.content if request.body_exists else None,
                headers=headers | scene.headers,
                allow_redirects=False,
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_HEADERS}
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                    await response.write(chunk)
                await response.write_eof()
                return response
        except ClientConnectionError:
            # It ended a moment ago.
            return _closed()

    async def _join(self, request: web.Request) -> web.StreamResponse:
        scene = self._scene_of(request)
        if scene is None:
            raise web.HTTPNotFound(text="This scene is closed.")
        page = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, compress=False)
        await page.prepare(request)
        scene.num_pages += 1
        try:
            async with self._client.ws_connect(f"{scene.address}/ws", headers=scene.headers, max_msg_size=0) as inner:
                both = [asyncio.create_task(_pump(scene, *pair)) for pair in ((page, inner), (inner, page))]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        except ClientError:
            pass  # the scene has ended; the page sees its socket close, and says so
        finally:
            scene.num_pages -= 1
            scene.note_use()
            await page.close()
        return page


async def _pump(scene: BrowserSession, source: _Socket, target: _Socket) -> None:
    """Forward messages until one side is closed."""
    async for message in source:
        scene.note_use()
        if message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is WSMsgType.TEXT:
            await target.send_str(message.data)


def _closed() -> web.Response:
    return _notice(
        404,
        "This scene is closed",
        "The server closes a scene that is not used for a while, and forgets all when it is started anew. "
        "It shows a scene only to the browser that opened it.",
        "Open a new one",
        "../../",
    )


def _notice(status: int, title: str, text: str, link: str, address: str) -> web.Response:
    return notice(status, title, text, f'<p><a href="{html.escape(address)}">{html.escape(link)}</a></p>')
