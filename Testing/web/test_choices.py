"""Choices of the page: options of a prompt, model, device and precision, and what it says of names before the run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from page_driver import IDLE, download, names, segment, violations
from server_process import running_server

from dsm.models.config import ModelConfig
from dsm.models.store import write_manifest

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]

SWITCHES = {
    "Remove small islands": ", with small islands",
    "Fast: skip the diffusion prompts of tumors": ", fast",
    "Show the network's guess for unknown names": ", guesses",
    "Uncertainty maps": ", uncertainty maps",
}


@pytest.fixture(scope="module")
def address(
    dsm_tiny: Path, make_body_model: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of a server with more models, for an MR scan."""
    folder = tmp_path_factory.mktemp("models")
    make_body_model(folder)
    other = Path(shutil.copytree(dsm_tiny, folder / "dsm-other"))
    replace(ModelConfig.load(other), only_in={"CT": ("duodenum",)}).save(other)
    write_manifest(other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSM_MODEL_DIR", str(folder))
        with running_server(dsm_tiny, "--modality", "MR", "--precision", "float32") as (_, where):
            yield where


def hints(page: Any) -> list[str]:
    return list(page.locator(".dsm-hints li").all_inner_texts())


def summary(page: Any, section: str) -> str:
    return str(page.locator(f"{section} summary").inner_text())


def test_modality_of_the_command_line_holds_for_the_first_scan(page: Any) -> None:
    page.get_by_text("Taken for MR, as you chose.").wait_for()
    assert page.locator("#dsm-modality").input_value() == "MR"


def test_options_are_switched_with_the_mouse(page: Any) -> None:
    page.locator(".dsm-options summary").click()
    page.locator(".dsm-setup summary").click()
    assert violations(page) == []
    for label, said in SWITCHES.items():
        box = page.get_by_label(label, exact=True)
        before = box.is_checked()
        for state in (not before, before):
            page.get_by_text(label, exact=True).click()
            assert box.is_checked() is state
            assert (said in summary(page, ".dsm-options")) is (state is not before)


def test_hints_tell_the_kinds_of_names_before_the_run(page: Any) -> None:
    page.locator(".dsm-prompt input").click()
    page.keyboard.type("liver; kidney tumor; skeletal muscle")
    page.wait_for_function(  # hints follow each letter
        "[...document.querySelectorAll('.dsm-hints li')].some((hint) =>"
        " hint.innerText.includes('skeletal muscle') && hint.innerText.endsWith('after the run.'))"
    )
    known, related, unknown = hints(page)
    assert known == "✓ liver"
    assert related.startswith("?")
    assert unknown.startswith("!")
    assert unknown.endswith("The model takes no clicks: draw it after the run.")
    assert page.locator(".dsm-click-new").is_disabled()
    assert "no click network" in page.locator("span:has(> .dsm-click-new)").get_attribute("title")
    assert violations(page) == []
    page.locator("h1").click()  # closes the list of names
    page.get_by_text("Show the network's guess for unknown names", exact=True).click()
    page.wait_for_function("document.querySelectorAll('.dsm-hints li')[2].innerText.startsWith('?')")
    assert "guess" in hints(page)[2]


def test_another_model_that_has_learned_a_name_is_named(page: Any) -> None:
    page.locator(".dsm-prompt input").fill("sternum")
    option = page.get_by_role("option", name="sternum", exact=True)
    option.wait_for()
    assert option.get_attribute("aria-description") == "not known to this model; dsm-body has learned it"
    page.wait_for_function("document.querySelectorAll('.dsm-hints li').length === 4")
    assert hints(page)[3].endswith(" dsm-body has learned it: choose it under Setup.")
    page.locator(".dsm-prompt input").fill("")
    page.locator("h1").click()


def test_name_that_the_chosen_model_learned_in_the_other_modality_only_says_so(page: Any) -> None:
    page.locator("#dsm-model").select_option("dsm-other")
    page.locator(".dsm-prompt input").fill("duodenum")
    page.locator(".dsm-hints").get_by_text("duodenum: learned in CT only, this volume is MR").wait_for()
    page.locator(".dsm-prompt input").fill("")
    page.locator("h1").click()
    page.locator("#dsm-model").select_option("dsm-tiny")


def test_results_say_what_has_to_be_checked(page: Any) -> None:
    page.locator("#dsm-segment").click()
    page.wait_for_selector(".dsm-rows li:nth-child(3)", timeout=600_000)
    page.wait_for_selector(IDLE)
    assert set(names(page)) == {"liver", "kidney tumor", "skeletal muscle"}
    row = page.locator(".dsm-rows li", has_text="skeletal muscle")
    assert row.locator(".dsm-mark").inner_text() == "guess, check"
    assert row.locator(".dsm-score").inner_text() == "–", "a guess has no score"
    assert page.get_by_label("Click on liver").is_disabled(), "this model takes no clicks"
    page.evaluate(
        "window.trame.state.set('rows', [...window.trame.state.state.rows,"
        " { ...window.trame.state.state.rows[0], id: '', name: 'xyzzy' }])"
    )
    page.get_by_label("Draw xyzzy").wait_for()
    assert [text.strip() for text in page.locator(".dsm-click-it").all_inner_texts()] == ["draw it"]
    assert violations(page) == []


def test_model_device_and_precision_of_the_next_run(page: Any, tmp_path: Path) -> None:
    model, device, precision = (page.locator(f"#dsm-{name}") for name in ("model", "device", "precision"))
    assert [re.sub(r" \(.*", "", text) for text in model.locator("option").all_inner_texts()][:5] == [
        "dsm-tiny",
        "dsm-body",
        "dsm-brain",
        "dsm-head-heart",
        "dsm-other",
    ]
    assert precision.input_value() == "float32"
    page.wait_for_function(
        "[...document.querySelectorAll('#dsm-device option')].some((one) => one.text.startsWith('cpu:'))"
    )
    model.select_option("dsm-other")
    device.select_option("auto")
    precision.select_option("int8")
    assert summary(page, ".dsm-setup") == "Setup: dsm-other, automatic device, int8"
    segment(page, "liver")
    assert b"DSM.Model:dsm-other" in download(page, "seg.nrrd", tmp_path).read_bytes()[:10_000]
