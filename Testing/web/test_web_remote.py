"""The page beside a real server: asked for consent once, and segments as on this computer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_driver import IDLE, changed, names, prompt, segment, views, violations
from server_process import running_server

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))
from http_server import TOKENS, Server  # noqa: E402

from dsm.client.remote import Remote  # noqa: E402
from dsm.errors import ConfigError, RemoteError  # noqa: E402

TOKEN = TOKENS["anna"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running.wait_until_ready()


@pytest.fixture(scope="module")
def address(server: Server, dsm_tiny: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSM_REMOTE_TOKEN", TOKEN)
        # No model on this computer: the server's is used.
        with running_server(Path("none"), "--remote", server.address) as (_, where):
            yield where


def test_nothing_is_sent_before_somebody_has_agreed(page: Any, server: Server) -> None:
    assert server.address in page.locator(".dsm-panel").inner_text()
    prompt(page, "liver")
    dialog = page.get_by_role("dialog", name="Send the scan to a server?")
    dialog.wait_for()
    assert server.address in dialog.inner_text()
    assert "NOT ENCRYPTED" in dialog.inner_text()
    assert violations(page) == []
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.locator(".dsm-prompt .v-chip").all_inner_texts() == ["liver"], "the prompt stays for another try"
    assert not server.voxel_files
    assert names(page) == []


def test_after_consent_the_server_segments_and_nobody_is_asked_again(page: Any, server: Server) -> None:
    before = views(page)
    page.locator("#dsm-segment").click()
    page.get_by_role("button", name="Agree").click()
    page.wait_for_selector(".dsm-rows button.dsm-name", timeout=280_000)
    page.wait_for_selector(IDLE)
    assert server.voxel_files
    assert changed(before, views(page)) > 0.05
    segment(page, "aorta")
    page.get_by_role("button", name="aorta", exact=True).wait_for()
    assert names(page) == ["liver", "aorta"]
    assert TOKEN not in page.content()


def test_closing_removes_the_scan_from_the_server(
    server: Server, open_page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSM_REMOTE_TOKEN", TOKENS["bert"])
    before = server.voxel_files
    with running_server(Path("none"), "--remote", server.address) as (process, where):
        page = open_page(where)
        prompt(page, "liver")
        page.get_by_role("button", name="Agree").click()
        page.wait_for_selector(".dsm-rows button.dsm-name", timeout=280_000)
        assert len(server.voxel_files) > len(before)
        process.terminate()
        process.wait(60)
    assert server.voxel_files == before


def test_a_server_that_is_gone_is_explained(page: Any, server: Server) -> None:
    server.process.kill()
    server.process.wait()
    prompt(page, "spleen")
    alert = page.locator(".dsm-error")
    alert.wait_for()
    assert "nothing listens" in alert.inner_text()
    page.wait_for_selector(IDLE)
    assert names(page) == ["liver", "aorta"]


def test_token_is_asked_for_and_never_on_a_command_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DSM_REMOTE_TOKEN is not set"):
        Remote.at("https://server:8470", None, {})
    with pytest.raises(RemoteError, match="not the address of a server"):
        Remote.at("ftp://server", None, {"DSM_REMOTE_TOKEN": TOKEN})
    with pytest.raises(ConfigError, match="There is no file"):
        Remote.at("https://server:8470", tmp_path / "none.pem", {"DSM_REMOTE_TOKEN": TOKEN})
    remote = Remote.at("server:8470", None, {"DSM_REMOTE_TOKEN": f"{TOKEN}\n"})
    assert remote.token == TOKEN
    assert remote.arguments == ["--remote", "https://server:8470"]
    assert TOKEN not in repr(remote)
