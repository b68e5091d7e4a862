"""Clicks through the worker: no encoding, and results also after a cancelled click."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worker_host import AFFINE, ENVIRONMENT, SMALL, Host, phantom

from dsm.client.session import ClientSession
from dsm.core.click import MAX_CLICKS, Click
from dsm.core.name_status import ResultSource
from dsm.core.prompt import Prompt
from dsm.core.volume import Volume
from dsm.errors import DSMError, JobCancelled
from dsm.text.prompt import parse_prompts
from dsm.wire.messages import Progress, PromptItem, Segment

pytestmark = pytest.mark.xdist_group("worker")

MIDDLE = (-4.0, 0.0, 64.0)


@pytest.fixture(scope="module")
def click_host(click_model: Path) -> Iterator[Host]:
    with Host(environment=ENVIRONMENT) as host:
        host.wait(host.load(click_model), timeout_s=200)
        yield host


def clicked(name: str, *places: Any, inside: bool = True) -> Prompt:
    clicks = tuple(Click(place, inside) for place in places)
    return replace(parse_prompts(name)[0], clicks=clicks)


def segment(host: Host, *prompts: Prompt, key: str = "volume") -> str:
    items = tuple(PromptItem(id=f"p{n}", prompt=prompt, file=host.new_file()) for n, prompt in enumerate(prompts))
    return host.submit(Segment(id=host.new_id(), volume_key=key, prompts=items))


def volume() -> Volume:
    return Volume(phantom(SMALL), np.array(AFFINE))


def test_volume_for_clicks_is_encoded_on_demand(click_host: Host) -> None:
    stages: list[str] = []
    session = ClientSession(click_host, on_progress=lambda progress: stages.append(progress.stage))
    click = clicked("schwannoma", MIDDLE)
    (result,) = session.prepare(volume(), [click]).segment([click])
    assert result.source is ResultSource.CLICK
    assert result.full_mask().shape == SMALL
    assert "encode" not in stages
    mixed = [*parse_prompts("liver"), click]
    results = session.prepare(volume(), mixed).segment(mixed)
    assert [one.prompt for one in results] == mixed
    assert "encode" in stages
    stages.clear()
    session.prepare(volume(), mixed).segment(mixed)
    assert "encode" not in stages, "once"


def test_named_prompt_encodes_a_volume_sent_for_clicks(click_host: Host) -> None:
    click_host.wait(click_host.set_volume(phantom((30, 30, 30)), key="lazy", encode=False), timeout_s=200)
    stages: set[str] = set()
    job = click_host.segment("liver", key="lazy")
    click_host.wait(
        job, timeout_s=200, on_event=lambda event: stages.add(event.stage) if isinstance(event, Progress) else None
    )
    assert {"encode", "decode"} <= stages


def test_same_name_clicked_at_two_positions_gives_two_results(click_host: Host) -> None:
    click_host.wait(click_host.set_volume(phantom(SMALL), encode=False), timeout_s=200)
    one, other = clicked("schwannoma", MIDDLE), clicked("schwannoma", MIDDLE, (-20.0, 10.0, 50.0))
    results = click_host.results(segment(click_host, one, other, one))
    assert sorted(result.prompt_id for result in results) == ["p0", "p1", "p2"]
    masks = {result.prompt_id: (result.voxels, result.offset_ijk) for result in results}
    assert masks["p0"] == masks["p2"]


def test_click_after_a_cancelled_one_gives_a_result(click_host: Host) -> None:
    click_host.wait(click_host.set_volume(phantom(SMALL), encode=False), timeout_s=200)
    first = segment(click_host, clicked("schwannoma", MIDDLE))
    click_host.cancel(first, grace_s=100)
    both = segment(click_host, clicked("schwannoma", MIDDLE, (-20.0, 10.0, 50.0)))
    with contextlib.suppress(JobCancelled):  # it may have been done before
        click_host.wait(first, timeout_s=200)
    (result,) = click_host.results(both)
    (alone,) = click_host.results(segment(click_host, clicked("schwannoma", MIDDLE, (-20.0, 10.0, 50.0))))
    assert (result.voxels, result.offset_ijk) == (alone.voxels, alone.offset_ijk)


def test_number_of_volumes_kept_for_clicks_is_limited(click_host: Host) -> None:
    for number in range(3):
        job = click_host.set_volume(phantom((20 + number, 20, 20)), key=f"v{number}", encode=False)
        click_host.wait(job, timeout_s=200)
    with pytest.raises(DSMError) as caught:
        click_host.wait(segment(click_host, clicked("schwannoma", MIDDLE), key="v0"), timeout_s=200)
    assert caught.value.code == "no_volume"


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        (clicked("schwannoma", MIDDLE, inside=False), "click.inside"),
        (clicked("schwannoma", (900.0, 0.0, 0.0)), "click.outside"),
        (clicked("schwannoma", *[MIDDLE] * (MAX_CLICKS + 1)), "click.too_many"),
    ],
)
def test_invalid_clicks_are_refused(click_host: Host, prompt: Prompt, code: str) -> None:
    click_host.wait(click_host.set_volume(phantom(SMALL), encode=False), timeout_s=200)
    with pytest.raises(DSMError) as caught:
        click_host.wait(segment(click_host, prompt), timeout_s=200)
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)


def test_model_without_click_network_refuses_clicks(encoded: Host) -> None:
    with pytest.raises(DSMError) as caught:
        encoded.wait(segment(encoded, clicked("schwannoma", MIDDLE)), timeout_s=200)
    assert caught.value.code == "model.clicks"
