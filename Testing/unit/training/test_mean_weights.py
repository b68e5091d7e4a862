"""Mean of the weights of two runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dsm.errors import ConfigError
from dsm.models.store import verify_model
from dsm.models.weights import load_model, save_model
from dsm.training.mean_weights import main, write_mean


@pytest.fixture
def other(tiny_model: Path, tmp_path: Path) -> Path:
    """The model with twice its weights."""
    net, config = load_model(tiny_model)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    shutil.copytree(tiny_model, tmp_path / "other")
    save_model(net, config, tmp_path / "other", dtype=torch.float32)
    return tmp_path / "other"


def test_mean_lies_between_the_weights(tiny_model: Path, other: Path, tmp_path: Path) -> None:
    main([str(tiny_model), str(other), "--share", "0.25", "--out", str(tmp_path / "mean")])
    verify_model(tmp_path / "mean")
    (net, config), (before, _) = load_model(tmp_path / "mean"), load_model(tiny_model)
    assert config == load_model(tiny_model)[1]
    for mean, value in zip(net.parameters(), before.parameters(), strict=True):
        assert torch.allclose(mean, 1.25 * value, atol=0.02 * float(value.abs().max()))


def test_networks_of_other_settings_have_no_mean(tiny_model: Path, other: Path, tmp_path: Path) -> None:
    net, config = load_model(other)
    save_model(net, replace(config, organ_offset=config.organ_offset + 1), other, dtype=torch.float32)
    with pytest.raises(ConfigError, match="different settings"):
        write_mean(tiny_model, other, share=0.5, out=tmp_path / "mean")
