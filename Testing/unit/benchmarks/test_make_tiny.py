import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.make_tiny import make_tiny
from dsm.models.config import ModelConfig
from dsm.models.presets import preset
from dsm.models.store import verify_model
from dsm.models.weights import load_model
from dsm.text.bank import EmbeddingBank

ROOT = Path(__file__).parents[3]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_command_reproduces_the_shipped_model_bit_for_bit(dsm_tiny, tmp_path):
    make_tiny(tmp_path / "one", bank=dsm_tiny)
    assert contents(tmp_path / "one") == contents(dsm_tiny)


def test_module_is_a_command(tmp_path):
    command = [sys.executable, "-m", "benchmarks.make_tiny", str(tmp_path / "new" / "model")]
    subprocess.run(command, check=True, timeout=120, cwd=ROOT)
    make_tiny(tmp_path / "other")
    assert contents(tmp_path / "new" / "model") == contents(tmp_path / "other")


def test_runs_in_place(dsm_tiny, tmp_path):
    folder = make_tiny(tmp_path, bank=dsm_tiny)
    before = contents(folder)
    torch.manual_seed(1)  # the global generator has no say
    make_tiny(folder, bank=folder)
    assert contents(folder) == before


def test_shipped_model_is_complete_and_small(dsm_tiny):
    entry = verify_model(dsm_tiny)
    assert entry.name == "dsm-tiny"
    assert (dsm_tiny / "model.safetensors").stat().st_size <= 2_000_000
    config = preset("dsm-tiny")
    assert ModelConfig.load(dsm_tiny) == replace(config, trained=(*config.organs, *config.tumors))
    assert "Random weights, for tests only" in (dsm_tiny / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_bank_fits_the_weights(dsm_tiny):
    net, config = load_model(dsm_tiny)
    bank = EmbeddingBank.of_model(dsm_tiny)
    for row, name in enumerate(config.organs):
        vector = torch.from_numpy(bank.centred(bank.vector(name)))
        torch.testing.assert_close(net.organ_text[row], vector, rtol=1e-3, atol=1e-4)
    assert all(bank.vector(name) is not None for name in config.tumors)


def test_all_weights_are_nonzero(dsm_tiny):
    net, _ = load_model(dsm_tiny)
    allowed = {"bias", "void"}
    silent = [n for n, p in net.named_parameters() if not p.any() and n.split(".")[-1] not in allowed]
    assert silent == []


def test_bank_without_the_organs(tmp_path):
    import numpy as np

    EmbeddingBank(("liver",), np.ones((1, 384), np.float32), np.zeros(384, np.float32)).save(tmp_path)
    with pytest.raises(ValueError, match="lacks an organ"):
        make_tiny(tmp_path / "model", bank=tmp_path)
