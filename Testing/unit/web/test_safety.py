"""Access control: users and files."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="trame is not installed")
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dsm.core.loopback import is_loopback
from dsm.errors import ConfigError, ImageError
from DSMSegmentWeb.access import Access
from DSMSegmentWeb.serve import _announce
from DSMSegmentWeb.uploads import check_self_contained, checked_name, receive


def guarded(access: Access) -> web.Application:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="scan")

    app = web.Application()
    access.guard(app)
    app.router.add_get("/{page:.*}", answer)
    return app


def status(access: Access, path: str = "/", **headers: str) -> int:
    async def ask() -> int:
        async with TestClient(TestServer(guarded(access))) as client:
            return (await client.get(path, headers=headers)).status

    return asyncio.run(ask())


def test_local_access_needs_no_token() -> None:
    assert Access.to("127.0.0.1", {}).token == ""
    assert status(Access("127.0.0.1")) == 200


def test_remote_access_needs_the_token() -> None:
    access = Access.to("0.0.0.0", {})  # noqa: S104
    assert len(access.token) >= 32
    assert status(access) == 401
    assert status(access, f"/?token={access.token}") == 401  # in no address


def test_token_is_entered_once() -> None:
    access = Access.to("0.0.0.0", {})  # noqa: S104

    async def enter() -> None:
        async with TestClient(TestServer(guarded(access))) as client:
            form = await client.get("/page")
            assert (form.status, form.content_type) == (401, "text/html")
            assert 'type="password"' in await form.text()
            # Browsers send the origin of a form only where its page lets them.
            assert form.headers["Referrer-Policy"] == "same-origin"
            wrong = await client.post("/page", data={"token": "wrong"})
            assert wrong.status == 401
            assert "not the token" in await wrong.text()
            right = await client.post("/page", data={"token": f" {access.token} "}, allow_redirects=False)
            assert (right.status, right.headers["Location"]) == (303, "page")
            cookie = right.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Lax" in cookie
            assert await (await client.get("/page")).text() == "scan"

    asyncio.run(enter())


@pytest.mark.parametrize(
    ("scheme", "secure"),
    [(None, False), ("http", False), ("https", True), ("HTTPS, http", True), ("http, https", False)],
)
def test_cookie_is_secure_behind_an_https_proxy(scheme: str | None, secure: bool) -> None:
    access = Access.to("0.0.0.0", {})  # noqa: S104
    headers = {"X-Forwarded-Proto": scheme} if scheme else {}

    async def enter() -> None:
        async with TestClient(TestServer(guarded(access))) as client:
            form = {"token": access.token}
            answer = await client.post("/page", data=form, headers=headers, allow_redirects=False)
            assert answer.status == 303
            assert ("secure" in answer.headers["Set-Cookie"].lower()) is secure

    asyncio.run(enter())


@pytest.mark.parametrize(("variable", "shown"), [("", True), ("a-token-of-the-department", False)])
def test_printed_address_does_not_contain_the_token(
    variable: str, shown: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DSM_WEB_TOKEN", variable)
    access = Access.to("0.0.0.0", {"DSM_WEB_TOKEN": variable})  # noqa: S104
    _announce(access, 8080, is_encrypted=True, opens_browser=False)
    address, token, _ = capsys.readouterr().out.splitlines()
    assert address == f"DSM Segment is at https://{socket.gethostname()}:8080/"
    assert token == ("Token: " + (access.token if shown else "that of $DSM_WEB_TOKEN"))


def test_short_token_is_refused() -> None:
    with pytest.raises(ConfigError, match="16 are needed"):
        Access.to("0.0.0.0", {"DSM_WEB_TOKEN": "secret"})  # noqa: S104


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}])
def test_cross_origin_requests_are_refused(headers: dict[str, str]) -> None:
    assert status(Access("127.0.0.1"), **headers) == 403


@pytest.mark.parametrize(("host", "expected"), [("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)])  # noqa: S104
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(("sent", "kept"), [("../../a b.nii.gz", "a_b.nii.gz"), ("C:\\x\\ct.NRRD", "ct.NRRD")])
def test_uploaded_file_name_is_sanitised(sent: str, kept: str) -> None:
    assert checked_name(sent) == kept


@pytest.mark.parametrize("name", ["", "scan.nhdr", "scan.mhd", "x.sh"])
def test_other_file_types_are_refused(name: str) -> None:
    with pytest.raises(ImageError, match="of no type"):
        checked_name(name)


def test_too_large_upload_is_refused(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"12345678"

    with pytest.raises(ImageError, match="larger than"):
        asyncio.run(receive(chunks(), tmp_path / "a.nrrd", max_bytes=20))


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.nrrd", b"NRRD0004\ntype: short\ndata file: /etc/passwd\n\n"),
        ("a.mha", b"ObjectType = Image\nElementDataFile = /etc/passwd\n"),
    ],
)
def test_header_referring_to_another_file_is_refused(tmp_path: Path, name: str, header: bytes) -> None:
    (tmp_path / name).write_bytes(header)
    with pytest.raises(ImageError, match="in another file"):
        check_self_contained(tmp_path / name)
