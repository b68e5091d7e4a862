"""Who is let in, and which files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="trame is not installed")
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dsm.errors import ConfigError, ImageError
from DSMSegmentWeb.access import Access, is_loopback
from DSMSegmentWeb.uploads import check_self_contained, checked_name, receive


def status(access: Access, path: str = "/", **headers: str) -> int:
    async def ask() -> int:
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(text="scan")

        app = web.Application()
        access.guard(app)
        app.router.add_get("/", answer)
        async with TestClient(TestServer(app)) as client:
            return (await client.get(path, headers=headers)).status

    return asyncio.run(ask())


def test_this_computer_needs_no_token() -> None:
    assert Access.to("127.0.0.1", {}).token == ""
    assert status(Access("127.0.0.1")) == 200


def test_beyond_this_computer_the_token_is_needed() -> None:
    access = Access.to("0.0.0.0", {})  # noqa: S104
    assert len(access.token) >= 32
    assert status(access) == 401
    assert status(access, "/?token=wrong") == 401
    assert status(access, f"/?token={access.token}") == 200


def test_short_token_is_refused() -> None:
    with pytest.raises(ConfigError, match="16 are needed"):
        Access.to("0.0.0.0", {"DSM_WEB_TOKEN": "secret"})  # noqa: S104


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}])
def test_other_sites_are_refused(headers: dict[str, str]) -> None:
    assert status(Access("127.0.0.1"), **headers) == 403


@pytest.mark.parametrize(("host", "expected"), [("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)])  # noqa: S104
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(("sent", "kept"), [("../../a b.nii.gz", "a_b.nii.gz"), ("C:\\x\\ct.NRRD", "ct.NRRD")])
def test_sent_name_stays_in_its_folder(sent: str, kept: str) -> None:
    assert checked_name(sent) == kept


@pytest.mark.parametrize("name", ["", "scan.nhdr", "scan.mhd", "x.sh"])
def test_other_types_are_refused(name: str) -> None:
    with pytest.raises(ImageError, match="of no type"):
        checked_name(name)


def test_file_that_grows_too_large_is_cut_off(tmp_path: Path) -> None:
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
def test_header_that_points_at_another_file_is_refused(tmp_path: Path, name: str, header: bytes) -> None:
    (tmp_path / name).write_bytes(header)
    with pytest.raises(ImageError, match="in another file"):
        check_self_contained(tmp_path / name)
