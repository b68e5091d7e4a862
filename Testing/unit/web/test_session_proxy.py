"""Requests that the session proxy forwards, to a fake scene: a small server that echoes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="trame is not installed")
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient, TestServer, unused_port

from dsm.errors import ResourceError
from DSMSegmentWeb.access import Access, token_cookie
from DSMSegmentWeb.session_proxy import SessionProxy

BROWSER = "b" * 40


class FakeScene:
    """Stands for a process."""

    id = "id"
    num_pages = 0

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.headers = {"Cookie": token_cookie("secret")}
        self.uses = 0

    def note_use(self) -> None:
        self.uses += 1


class FakeScenes:
    """Has one scene, of one browser."""

    def __init__(self, scene: FakeScene, *, is_full: bool = False) -> None:
        self.scene, self.is_full = scene, is_full

    async def take(self, owner: str) -> FakeScene:
        if self.is_full:
            raise ResourceError("All 1 scenes of this server are in use.")
        return self.scene

    def find(self, scene_id: str, owner: str) -> FakeScene | None:
        return self.scene if (scene_id, owner) == ("id", BROWSER) else None

    async def close_idle(self) -> None:
        await asyncio.sleep(3600)

    async def close(self) -> None:
        pass


async def echo_request(request: web.Request) -> web.StreamResponse:
    if request.path == "/ws":
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"heard {message.data}")
        return socket
    body = await request.read()
    return web.json_response({"path": request.raw_path, "headers": dict(request.headers), "size": len(body)})


def run_with_proxy(
    check: Callable[[TestClient[Any, Any], FakeScene], Awaitable[None]], *, is_dead: bool = False, is_full: bool = False
) -> None:
    async def run() -> None:
        inner = web.Application()
        inner.router.add_route("*", "/{rest:.*}", echo_request)
        async with TestServer(inner) as process:
            scene = FakeScene(unused_port() if is_dead else process.port or 0)
            gate = SessionProxy(FakeScenes(scene, is_full=is_full), Access("127.0.0.1"))  # type: ignore[arg-type]
            jar = CookieJar(unsafe=True)
            async with TestClient(TestServer(gate.application()), cookie_jar=jar) as client:
                jar.update_cookies({"dsm_web_browser": BROWSER}, client.make_url("/"))
                await check(client, scene)

    asyncio.run(run())


def test_requests_are_forwarded_with_the_scene_token() -> None:
    async def check(client: TestClient[Any, Any], scene: FakeScene) -> None:
        origin = str(client.make_url("/")).rstrip("/")
        answer = await client.post("/scene/id/upload?name=a%26b.nii", data=b"x" * 100_000, headers={"Origin": origin})
        echoed = await answer.json()
        assert echoed["path"] == "/upload?name=a%26b.nii"
        assert echoed["size"] == 100_000
        assert echoed["headers"]["Cookie"] == token_cookie("secret")
        assert "Origin" not in echoed["headers"]
        assert scene.uses

    run_with_proxy(check)


def test_websocket_messages_are_forwarded_in_both_directions() -> None:
    async def check(client: TestClient[Any, Any], scene: FakeScene) -> None:
        async with client.ws_connect("/scene/id/ws") as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "heard hello"
            assert scene.num_pages == 1

    run_with_proxy(check)


@pytest.mark.parametrize("path", ["/scene/other/index.html", "/scene/other/ws", "/scene/id2/export/mrb"])
def test_unknown_scene_is_not_found(path: str) -> None:
    async def check(client: TestClient[Any, Any], scene: FakeScene) -> None:
        assert (await client.get(path)).status == 404

    run_with_proxy(check)


def test_scene_without_the_cookie_is_not_found() -> None:
    async def check(client: TestClient[Any, Any], scene: FakeScene) -> None:
        client.session.cookie_jar.clear()
        assert (await client.get("/scene/id/index.html")).status == 404

    run_with_proxy(check)


def test_ended_scene_is_reported_as_closed() -> None:
    async def check(client: TestClient[Any, Any], scene: FakeScene) -> None:
        answer = await client.get("/scene/id/index.html")
        assert answer.status == 404
        assert "This scene is closed" in await answer.text()

    run_with_proxy(check, is_dead=True)


def test_full_server_is_reported() -> None:
    async def check(client: TestClient[Any, Any], scene: FakeScene) -> None:
        answer = await client.get("/")
        assert answer.status == 503
        assert "in use" in await answer.text()

    run_with_proxy(check, is_full=True)


def test_image_requests_do_not_open_a_scene() -> None:
    async def check(client: TestClient[Any, Any], scene: FakeScene) -> None:
        assert (await client.get("/", headers={"Sec-Fetch-Dest": "image"})).status == 403
        answer = await client.get("/", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, "scene/id/index.html")
        assert "Secure" not in answer.headers["Set-Cookie"]
        behind_tls = await client.get("/", headers={"X-Forwarded-Proto": "https"}, allow_redirects=False)
        assert "Secure" in behind_tls.headers["Set-Cookie"]

    run_with_proxy(check)
