"""Colours of the results: far apart on the page, standard in files, and the user's own wherever he chose one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_driver import AXIAL, download, press, prompt, segment, views, volume_ml

from dsm.core.display_colors import LEAST_DIFFERENCE, difference
from dsm.text.vocabulary import load_vocabulary

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene"

OWN = "#12c8fa"


def rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def colors(page: Any) -> list[str]:
    return [box.input_value() for box in page.locator(".dsm-rows input[type=color]").all()]


def exported_color(page: Any, folder: Path) -> tuple[int, ...]:
    header = download(page, "seg.nrrd", folder).read_bytes()[:10_000].decode(errors="replace")
    channels = re.search(r"Segment0_Color:=(\S+) (\S+) (\S+)", header)
    assert channels is not None
    return tuple(round(255 * float(channel)) for channel in channels.groups())


def share_of(page: Any, color: str) -> float:
    """Fraction of the pixels of the 3-D view and the slices whose hue is near that of a colour."""
    target = np.array(rgb(color)) / np.linalg.norm(rgb(color))
    pixels = views(page).astype(float)
    length = np.linalg.norm(pixels, axis=2)
    return float(((pixels @ target > 0.985 * length) & (length > 80)).mean())


def click(page: Any, row: int) -> None:
    before = volume_ml(page, row)
    page.mouse.click(*AXIAL)
    page.wait_for_function(
        "([row, before]) => parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[row].innerText) !== before"
        " && !window.trame.state.state.running",
        arg=[row, before],
    )


def test_views_show_other_colors_than_files(page: Any, tmp_path: Path) -> None:
    segment(page, "liver")
    page.get_by_role("button", name="liver", exact=True).click()
    standard = next(one.color for one in load_vocabulary().structures if one.name == "liver")
    assert rgb(colors(page)[0]) != standard
    assert share_of(page, colors(page)[0]) > 0.02
    assert exported_color(page, tmp_path) == standard


def test_color_of_the_user_survives_clicks_and_goes_into_files(page: Any, tmp_path: Path) -> None:
    page.locator(".dsm-rows input[type=color]").first.fill(OWN)
    page.locator("h1").click()
    page.wait_for_function("color => window.trame.state.state.rows[0].color === color", arg=OWN)
    assert share_of(page, OWN) > 0.02
    press(page, "Click on liver")
    click(page, 0)
    press(page, "Done")
    assert colors(page) == [OWN]
    assert exported_color(page, tmp_path) == rgb(OWN)


def test_color_of_the_user_survives_other_results_which_differ_from_it(page: Any) -> None:
    prompt(page, "schwannoma")
    press(page, "Click on schwannoma")
    page.locator(".dsm-click-bar").wait_for()
    click(page, 1)
    press(page, "Done")
    own, new = colors(page)
    assert own == OWN
    assert difference(rgb(own), rgb(new)) > LEAST_DIFFERENCE
    press(page, "Undo")
    page.wait_for_function("parseFloat(document.querySelectorAll('.dsm-rows li .dsm-note')[1].innerText) === 0")
    assert colors(page)[0] == OWN
