"""Encodings of a run whose names belong to several installed models, through a real worker."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from worker_host import ENVIRONMENT, Host, phantom

from dsm.client.session import ClientSession
from dsm.core.volume import Volume
from dsm.text.prompt import parse_prompts
from dsm.wire.messages import Progress

pytestmark = pytest.mark.xdist_group("worker")

SHAPE = (32, 32, 32)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host(environment=ENVIRONMENT) as host:
        ClientSession(host).load("dsm-small")
        yield host


def run(host: Host, names: str, volume: Volume) -> tuple[list[str], int]:
    """Segment names; returns the model of each result, and the number of encodings."""
    encodings = 0

    def note(progress: Progress) -> None:
        nonlocal encodings
        encodings += progress.stage == "encode" and progress.done == progress.total > 1

    prompts = parse_prompts(names)
    session = ClientSession(host, on_progress=note)
    results = session.prepare(volume, prompts).segment(prompts)
    return [result.model for result in results], encodings


def test_volume_is_encoded_by_the_models_of_its_prompts_alone(host: Host) -> None:
    volume = Volume(phantom(SHAPE), np.diag([2.0, 2.0, 2.0, 1.0]))
    assert run(host, "brainstem", volume) == (["dsm-head-heart"], 1)
    assert run(host, "mandible", volume) == (["dsm-head-heart"], 0)
    assert run(host, "liver; mandible", volume) == (["", "dsm-head-heart"], 1)
