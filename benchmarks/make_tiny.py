"""Make `dsm-tiny`: a model folder with random weights, for tests only. `python -m benchmarks.make_tiny OUT`."""

from __future__ import annotations

import argparse
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dsm.models.presets import preset
from dsm.models.store import write_manifest
from dsm.models.weights import save_model
from dsm.nn.diffusion_fusion import DiffusionFusion
from dsm.nn.dsm_net import DSMNet
from dsm.nn.mamba2 import Mamba2
from dsm.text.bank import EmbeddingBank
from dsm.text.bank_file import BANK_FILE, SHARED_BANK, bank_path

_SEED = 20260101

_CARD = """# dsm-tiny

**Random weights, for tests only.** This model was never trained: its masks, scores and volumes mean nothing.

It has every block of DSM at the smallest size, so that the program can be tested in seconds. The weights come from a
fixed seed and are remade bit for bit with `python -m benchmarks.make_tiny OUT`. The text bank is a copy of the one that
the trained models use.

| | |
|---|---|
| Parameters | {parameters:,} |
| Training data | none |
| Working grid | {spacing_mm} mm |
| Organ queries | {organs} |
| Tumor queries | {tumors} |
| Licence | Apache-2.0 |
"""


def make_tiny(folder: Path | str, *, bank: Path | str = SHARED_BANK) -> Path:
    """Write the model folder: configuration, weights, text bank, model card, manifest.

    Args:
        folder: Made if it does not exist; files of it are replaced.
        bank: Folder of the text bank to put into it; the shared one is used where it is.

    Returns:
        `folder`.

    Note:
        The same on every machine: all random numbers come from NumPy's generator, whose stream does not depend on the
        processor as torch's normal distribution does.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vectors = EmbeddingBank.of_model(bank)
    # It answers as a trained model does, so that the program around it can be tested.
    config = preset("dsm-tiny")
    config = replace(config, trained=(*config.organs, *config.tumors))  # unknown names have no mask to test
    config = replace(config, trained=(*config.organs, *config.tumors))
    raw = np.stack([_known(vectors.vector(name)) for name in config.organs])
    net = DSMNet(config, torch.from_numpy(vectors.centred(raw)))
    fill_with_noise(net, np.random.default_rng(_SEED))
    save_model(net, config, folder)
    if bank_path(bank) not in (bank_path(folder), SHARED_BANK / BANK_FILE):
        shutil.copyfile(bank_path(bank), folder / BANK_FILE)
    card = _CARD.format(
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        spacing_mm=config.spacing_mm,
        organs=config.num_organs,
        tumors=len(config.tumors),
    )
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    write_manifest(folder)
    return folder


@torch.no_grad()
def fill_with_noise(net: DSMNet, rng: np.random.Generator) -> None:
    """Replace all random parameters, and those that start at 0 and would hide what lies behind them.

    Args:
        net: Changed in place.
        rng: Source of randomness.
    """
    for parameter in net.parameters():
        if parameter.ndim >= 2:  # unit variance in, unit variance out
            bound = math.sqrt(3 / parameter[0].numel())
            parameter.copy_(_uniform(rng, -bound, bound, parameter))
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv3d) and module.bias is not None:
            module.bias.zero_()
        elif isinstance(module, Mamba2):
            module.dt_bias.copy_(_uniform(rng, -6.0, -2.0, module.dt_bias))
            module.A_log.copy_(_uniform(rng, 0.0, 2.0, module.A_log))
        elif isinstance(module, DiffusionFusion):
            module.gamma.fill_(0.5)
    net.anomaly_weight.fill_(1.0)
    if net.denoiser is not None:
        net.visual_weight.fill_(1.0)


def _uniform(rng: np.random.Generator, low: float, high: float, like: Tensor) -> Tensor:
    return torch.from_numpy(rng.uniform(low, high, size=tuple(like.shape)))


def _known(vector: np.ndarray | None) -> np.ndarray:
    if vector is None:
        msg = "the text bank lacks an organ of the preset"
        raise ValueError(msg)
    return vector


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.make_tiny", description=__doc__)
    parser.add_argument("out", type=Path, help="model folder to write")
    make_tiny(parser.parse_args().out)
