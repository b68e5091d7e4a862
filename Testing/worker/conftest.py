"""A tiny model, and workers that have it loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

# Tests are imported by path (import-mode=importlib), so their helper has to be found by hand.
sys.path.insert(0, str(Path(__file__).parent))

from worker_host import ENVIRONMENT, SMALL, Host, phantom

ORGANS = ("liver", "spleen", "left kidney", "right kidney", "pancreas")
TUMORS = ("liver tumor", "kidney tumor")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights; what it finds has no meaning, but is the same in every run."""
    import torch

    from dsm.models.config import ModelConfig
    from dsm.models.store import write_manifest
    from dsm.models.weights import save_model
    from dsm.nn.dsm_net import DSMNet
    from dsm.text.bank import EmbeddingBank

    folder = tmp_path_factory.mktemp("models") / "dsm-tiny"
    config = ModelConfig(
        name="dsm-tiny",
        organs=ORGANS,
        tumors=TUMORS,
        trained=(*ORGANS, *TUMORS),
        channels=(8, 12, 16, 24),
        num_blocks=(1, 1, 1, 1),
        decoder_channels=(12, 16, 24),
        query_dim=32,
        num_heads=4,
        layers_per_level=1,
        visual_prompt=True,
    )
    names = (*ORGANS, *TUMORS)
    vectors = np.random.default_rng(0).standard_normal((len(names), config.text_dim)).astype(np.float32)
    bank = EmbeddingBank(names, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), vectors.mean(0) / 20)
    torch.manual_seed(0)
    organ_text = torch.from_numpy(bank.centred(bank.vectors[: len(ORGANS)]))
    net = DSMNet(config, organ_text)
    net.visual_weight.data.fill_(1.0)  # it starts at 0, which would hide the visual prompt
    save_model(net, config, folder)
    bank.save(folder)
    write_manifest(folder)
    return folder


@pytest.fixture(scope="session")
def click_model(tiny_model: Path, with_clicks: Callable[[Path], Path]) -> Path:
    """Folder of the tiny model of these tests with a click network of random weights."""
    return with_clicks(tiny_model)


@pytest.fixture(scope="session")
def shared_host(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One worker for the tests that leave it alive, in a folder whose path is hard to get right."""
    parent = tmp_path_factory.mktemp("Größe 臓器 и пробелы")
    with Host(environment=ENVIRONMENT, folder_parent=parent) as host:
        host.wait(host.load(tiny_model), timeout_s=200)
        yield host


@pytest.fixture
def host(shared_host: Host, tiny_model: Path) -> Host:
    """The shared worker with the tiny model and no volumes; it must have survived the test before."""
    assert shared_host.alive
    shared_host.poll()
    shared_host.wait(shared_host.load(tiny_model), timeout_s=200)
    return shared_host


@pytest.fixture
def encoded(host: Host) -> Host:
    """The shared worker with a small phantom encoded under the key `volume`."""
    host.wait(host.set_volume(phantom(SMALL)), timeout_s=200)
    return host


@pytest.fixture
def fresh_host(tiny_model: Path, tmp_path: Path) -> Iterator[Host]:
    """A worker of its own, for the tests that end it."""
    parent = tmp_path / "hosts"
    parent.mkdir()
    with Host(environment=ENVIRONMENT, folder_parent=parent) as host:
        host.wait(host.load(tiny_model), timeout_s=200)
        yield host
