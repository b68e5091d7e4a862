"""Whose scene is whose, and how long it lives: real servers, real browsers, real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from page_driver import IDLE, names, segment, violations

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]

GONE = "text=This scene is closed"


def children(pid: int) -> list[int]:
    """All processes below one, its children first."""
    try:
        direct = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return direct + [grandchild for child in direct for grandchild in children(child)]


def wait_until_gone(pids: list[int], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.2)


def test_no_one_sees_the_scene_of_another(address: str, open_page: Any) -> None:
    mine = open_page(address)
    segment(mine, "liver")
    my_address = mine.url

    second_tab = mine.context.new_page()
    second_tab.goto(address)
    second_tab.wait_for_selector(IDLE)
    assert second_tab.url != my_address
    assert names(second_tab) == []

    second_tab.goto(my_address)
    second_tab.wait_for_selector(".dsm-rows button.dsm-name")
    assert names(second_tab) == ["liver"], "one's own scene can be looked at twice"

    stranger = open_page(address)
    assert names(stranger) == []
    for path in ("index.html", "export/seg.nrrd", "ws", "upload"):
        answer = stranger.context.request.get(my_address.replace("index.html", path))
        assert answer.status == 404, path
        assert "CTChest4" not in answer.text()
    stranger.goto(my_address)
    assert stranger.inner_text("h1") == "This scene is closed"
    assert violations(stranger) == []
    joined = stranger.evaluate(
        """address => new Promise((done) => {
            const socket = new WebSocket(address);
            socket.onopen = () => done("open");
            socket.onerror = () => done("refused");
        })""",
        my_address.replace("http:", "ws:").replace("index.html", "ws"),
    )
    assert joined == "refused"


def test_page_that_is_left_does_not_come_back(address: str, open_page: Any) -> None:
    """It closes its connection before the next page is there, which a slow server sends much later."""
    page = open_page(address)
    left = page.url
    lost: list[bool] = []
    held: list[Any] = []
    page.expose_function("noteLost", lambda: lost.append(True))
    page.evaluate("() => setInterval(() => { if (document.getElementById('dsm-lost')) window.noteLost() }, 100)")
    page.route("**/elsewhere.html", lambda route, _: held.append(route))
    page.evaluate("() => { window.location = 'elsewhere.html' }")
    while not (lost and held):
        page.wait_for_timeout(100)
    page.wait_for_timeout(3000)  # as long as three attempts to connect again take
    assert page.url == left
    held[0].fulfill(body="<h1>Elsewhere</h1>", content_type="text/html")
    page.wait_for_selector("text=Elsewhere", timeout=20_000)


def test_server_that_is_killed_and_started_again(start_server: Any, open_page: Any) -> None:
    with start_server() as (server, address):
        page = open_page(address)
        segment(page, "liver")
        below = children(server.pid)
        assert len(below) >= 2, "a scene and its worker"
        server.send_signal(signal.SIGKILL)
        page.wait_for_selector("text=The server does not answer")
        wait_until_gone(below)
    port = address.rstrip("/").rsplit(":", 1)[1]
    with start_server("--port", port):
        page.wait_for_selector(GONE)
        page.get_by_role("link", name="Open a new one").click()
        page.wait_for_selector(IDLE)
        assert names(page) == []


def test_scene_whose_process_dies_takes_no_other_along(start_server: Any, open_page: Any) -> None:
    with start_server() as (server, address):
        victim = open_page(address)
        first = children(server.pid)[0]
        other = open_page(address)
        os.kill(first, signal.SIGKILL)
        victim.wait_for_selector(GONE)
        other.reload()
        other.wait_for_selector(IDLE)


def test_scene_that_nobody_uses_is_closed_with_all_its_processes(start_server: Any, open_page: Any) -> None:
    with start_server("--idle-minutes", "0.25") as (server, address):
        page = open_page(address)
        segment(page, "liver")
        below = children(server.pid)
        assert len(below) >= 2
        wait_until_gone(below, 60)
        page.wait_for_selector(GONE)
        assert not children(server.pid)


def test_more_scenes_than_allowed_are_refused(start_server: Any, browser: Any) -> None:
    with start_server("--max-scenes", "1") as (_, address):
        early, late = browser.new_context(), browser.new_context()
        assert early.request.get(address).status == 200
        answer = late.request.get(address)
        assert answer.status == 503
        assert "in use" in answer.text()
        for context in (early, late):
            context.close()
