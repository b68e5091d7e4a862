"""Fixtures for every level of tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

# Before torch is imported anywhere: the suite runs in as many processes as there are cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest

if TYPE_CHECKING:
    from dsm.core.volume import Volume
    from dsm.inference.scan import Scan
    from dsm.inference.segmenter import Segmenter

_LOOPBACK = ("127.", "::1", "localhost")
_MODELS = Path(__file__).resolve().parents[1] / "model_weights"

# Of the tiny model: enough for organs, a tumor, and a known name outside of the query sets.
TINY_NAMES = ("liver", "spleen", "left kidney", "liver tumor", "heart")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Folder of a whole model with random weights, small enough to run in a second; its bank has a few names only."""
    import torch

    from dsm.models.config import ModelConfig
    from dsm.models.store import write_manifest
    from dsm.models.weights import save_model
    from dsm.nn.dsm_net import DSMNet
    from dsm.text.bank import EmbeddingBank

    folder = tmp_path_factory.mktemp("models") / "dsm-tiny"
    folder.mkdir()
    config = ModelConfig(
        name="dsm-tiny",
        organs=("liver", "spleen", "left kidney"),
        tumors=("liver tumor",),
        trained=("liver", "spleen", "left kidney", "liver tumor"),
        channels=(8, 8, 16, 16),
        num_blocks=(1, 1, 1, 1),
        decoder_channels=(16, 16, 16),
        embed_dim=8,
        query_dim=16,
        num_heads=2,
        layers_per_level=1,
        text_dim=12,
        visual_prompt=True,
    )
    vectors = np.random.default_rng(0).normal(size=(len(TINY_NAMES), config.text_dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    bank = EmbeddingBank(TINY_NAMES, vectors, vectors.mean(axis=0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = DSMNet(config, torch.from_numpy(bank.centred(vectors[: config.num_organs])).float())
        net.visual_weight.data.fill_(1.0)  # it starts at 0, which would hide the visual prompt
    save_model(net.eval(), config, folder)
    bank.save(folder)
    write_manifest(folder)
    return folder


@pytest.fixture(scope="session")
def with_clicks(tmp_path_factory) -> Callable[[Path], Path]:
    """Return a function that copies a model folder and adds a click network with random weights."""
    import torch

    from dsm.models.click_weights import save_refiner
    from dsm.models.store import write_manifest
    from dsm.nn.click_refiner import ClickRefiner, ClickRefinerConfig

    def add(model: Path) -> Path:
        folder = tmp_path_factory.mktemp("clicks") / model.name
        shutil.copytree(model, folder)
        config = ClickRefinerConfig(channels=(8, 8, 8, 8), detail=2, window=32)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            save_refiner(ClickRefiner(config), config, folder)
        write_manifest(folder)
        return folder

    return add


@pytest.fixture(scope="session")
def click_model(tiny_model, with_clicks) -> Path:
    """Folder of `tiny_model` with a click network of random weights."""
    return with_clicks(tiny_model)


@pytest.fixture(scope="session")
def make_body_model() -> Callable[[Path], Path]:
    """Return a function that makes the model `dsm-body` in a folder: without a network, it has learned two names."""
    from dsm.models.config import ModelConfig
    from dsm.models.store import write_manifest

    def make(place: Path) -> Path:
        folder = place / "dsm-body"
        folder.mkdir(parents=True)
        ModelConfig(name="dsm-body", organs=(), tumors=(), trained=("sternum", "skull")).save(folder)
        (folder / "model.safetensors").write_bytes(b"none")
        write_manifest(folder)
        return folder

    return make


@pytest.fixture
def body_model(make_body_model, tmp_path, monkeypatch) -> Path:
    """Folder of a second installed model, which has learned sternum and skull."""
    folder = make_body_model(tmp_path / "more models")
    folders = [os.environ.get("DSM_MODEL_DIR", ""), str(folder.parent)]
    monkeypatch.setenv("DSM_MODEL_DIR", os.pathsep.join(filter(None, folders)))
    return folder


class NetworkUsedError(AssertionError):
    """A test tried to reach another machine. Not an OSError: the code under test must not swallow it."""


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Let sockets of this process connect to this machine only."""
    patch = pytest.MonkeyPatch()
    for method in ("connect", "connect_ex"):
        patch.setattr(socket.socket, method, _guarded(getattr(socket.socket, method)))
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def no_models_of_the_user(tmp_path_factory) -> Iterator[None]:
    """Models that whoever runs the tests has installed do not take part, in no process of theirs."""
    patch = pytest.MonkeyPatch()
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        patch.setenv(name, str(tmp_path_factory.getbasetemp() / "user-data"))
    patch.setenv("DSM_PRECISION", "float32")  # the same results on every machine, and nothing is measured
    yield
    patch.undo()


@pytest.fixture(scope="session")
def dsm_tiny() -> Path:
    """The folder `model_weights/dsm-tiny`: all blocks, random weights. Made where the checkout lacks it."""
    folder = _MODELS / "dsm-tiny"
    if not (folder / "manifest.json").is_file():
        from benchmarks.make_tiny import make_tiny

        # Another test process may do the same at this moment: the first rename wins, the others find it done.
        with tempfile.TemporaryDirectory(dir=_MODELS, prefix=".dsm-tiny-") as place, contextlib.suppress(OSError):
            make_tiny(Path(place, "dsm-tiny")).rename(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_net() -> Callable[..., object]:
    """Build a very small network: `tiny_net(seed=0, noise=True, **changes_of_the_config)` in evaluation mode.

    With `noise` every parameter and every running statistic is random, so that no block is silent.
    """
    import torch

    from benchmarks.make_tiny import fill_with_noise
    from dsm.models.presets import preset
    from dsm.nn.dsm_net import DSMNet

    def build(*, seed: int = 0, noise: bool = True, **changes: object) -> DSMNet:
        tiny = preset("dsm-tiny")
        config = replace(tiny, organs=tiny.organs[:5], tumors=("liver tumor", "lung tumor"))
        config = replace(config, channels=(4, 6, 8, 8), decoder_channels=(6, 8, 8), embed_dim=8)
        config = replace(config, query_dim=16, num_heads=2, text_dim=12, **changes)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            text = torch.nn.functional.normalize(torch.randn(config.num_organs, config.text_dim), dim=1)
            net = DSMNet(config, text)
            if noise:
                fill_with_noise(net, np.random.default_rng(seed))
                for module in net.modules():
                    if isinstance(module, torch.nn.BatchNorm3d):
                        torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
                        torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
        return net.eval()

    return build


@dataclass(frozen=True)
class EncodedDemo:
    """An encoded scan, with its segmenter, its volume and the CPU seconds of the encoding."""

    segmenter: Segmenter
    volume: Volume
    scan: Scan
    seconds: float


@pytest.fixture(scope="session")
def demo_ct() -> Path:
    """The file of the demo's chest CT."""
    slicerio = pytest.importorskip("slicerio")
    return Path(slicerio.__file__).parent / "data" / "CTChest4.nrrd"


@pytest.fixture(scope="session")
def encoded_demo(demo_ct: Path) -> EncodedDemo:
    """The demo CT, encoded by the shipped model: once for the tests of the xdist group of this name."""
    from dsm.inference.segmenter import Segmenter
    from dsm.io.image import read_volume

    segmenter = Segmenter.from_pretrained("dsm-small")
    volume = read_volume(demo_ct, modality="CT")
    began = time.process_time()
    scan = segmenter.encode(volume)
    return EncodedDemo(segmenter, volume, scan, time.process_time() - began)


def _guarded(connect: Callable[..., object]) -> Callable[..., object]:
    def guarded(self: socket.socket, address: object) -> object:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0]) if isinstance(address, tuple) else str(address)
            if not host.startswith(_LOOPBACK):
                raise NetworkUsedError(f"a test connects to {host}")
        return connect(self, address)

    return guarded
