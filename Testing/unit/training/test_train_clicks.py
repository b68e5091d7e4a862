import json

import numpy as np
import pytest
import torch

from dsm.errors import ConfigError
from dsm.models.click_weights import load_refiner
from dsm.nn.click_refiner import CHANNELS, ClickRefiner, ClickRefinerConfig
from dsm.training.click_recipe import ClickRecipe
from dsm.training.click_samples import ClickSample
from dsm.training.train_clicks import Rollout, click_loss, load_widened, main

RECIPE = """
kind: clicks
model: {{name: tiny, channels: [8, 8, 8, 8], detail: 2, window: 16}}
data_root: {data}
sources:
  - {{folder: phantoms, weight: 1.0, hidden: [liver tumor]}}
phases:
  - {{steps: {steps}, window: 16, batch: 2, lr: 0.003, warmup: 2}}
ema_start: 2
checkpoint_every: 2
validate_every: 4
validation_windows: 4
"""


@pytest.fixture
def recipe(phantoms, tmp_path):
    (tmp_path / "recipes").mkdir()

    def write(steps):
        path = tmp_path / "recipes" / "clicks.yaml"
        path.write_text(RECIPE.format(data=phantoms, steps=steps))
        return path

    return write


def test_a_run_writes_weights_provenance_and_log(recipe, tmp_path):
    run = main(recipe(4), out=tmp_path / "run")
    net, config = load_refiner(run)
    assert config.name == "tiny"
    assert config.trained == ("liver", "spleen")
    assert not net.training
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["training_cases"] == ["phantom_0", "phantom_1", "phantom_2", "phantom_3"]
    assert provenance["recipe"]["sources"][0]["hidden"] == ["liver tumor"]
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert any("hidden_1" in line.get("validation", {}) for line in lines)


def test_run_is_resumed(recipe, tmp_path):
    run = main(recipe(2), out=tmp_path / "run")
    before = torch.load(run / "checkpoint.pt", weights_only=True)
    main(recipe(6), out=run)
    after = torch.load(run / "checkpoint.pt", weights_only=True)
    assert (before["step"], after["step"]) == (2, 6)
    assert int(after["average"]["n_averaged"]) == 5


def refiner(*channels):
    return ClickRefiner(ClickRefinerConfig(channels=channels, detail=2, window=16)).eval()


def test_wider_network_begins_as_the_narrow_one_and_learns_with_all_its_channels():
    torch.manual_seed(0)
    narrow, wide = refiner(4, 4, 6, 8), refiner(6, 8, 6, 16)
    load_widened(wide, narrow.state_dict())
    x = torch.rand(2, len(CHANNELS), 16, 16, 16)
    assert torch.allclose(wide(x), narrow(x), atol=1e-6)
    wide(x).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in wide.parameters() if parameter.ndim > 1)


def test_run_starts_from_a_narrower_network(recipe, tmp_path):
    main(recipe(2), out=tmp_path / "narrow")
    path = recipe(2)
    text = path.read_text().replace("[8, 8, 8, 8]", "[8, 16, 8, 8]").replace("lr: 0.003", "lr: 0.0")
    path.write_text(f"{text}start_from: narrow\nprecision: bfloat16\n")
    wide = load_refiner(main(path, out=tmp_path / "wide"))[0].state_dict()
    narrow = load_refiner(tmp_path / "narrow")[0].state_dict()
    name = "down4.0.weight"
    assert wide[name].shape[0] == 16
    assert torch.allclose(wide[name][:8], narrow[name], atol=1e-3)


def test_unknown_precision_is_refused(recipe):
    path = recipe(2)
    path.write_text(path.read_text() + "precision: half\n")
    with pytest.raises(ConfigError, match="half"):
        ClickRecipe.load(path)


def test_dsm_train_runs_a_click_recipe(recipe, tmp_path):
    from dsm.cli.main import main as dsm

    assert dsm(["train", str(recipe(2)), "-o", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "clicks.safetensors").is_file()


def test_an_unknown_key_is_refused(recipe):
    path = recipe(2)
    path.write_text(path.read_text() + "ema_begin: 3\n")
    with pytest.raises(ConfigError, match="ema_begin"):
        ClickRecipe.load(path)


def test_clicks_are_placed_in_errors_of_the_mask():
    truth = torch.zeros(16, 16, 16, dtype=torch.bool)
    truth[4:12, 4:12, 4:12] = True
    empty = torch.zeros_like(truth)
    rollout = Rollout([ClickSample(truth.float(), truth, empty, empty, (6, 6, 6))])
    logits = torch.full((1, 16, 16, 16), -3.0)
    logits[:, 4:8, 4:12, 4:12] = 3.0
    rollout.click(logits, np.random.default_rng(0), same_clicks=0.0)
    (_, first), (point, second) = rollout.clicks[0]
    assert first
    assert second
    assert 8 <= point[0] < 12
    rollout.click(torch.where(truth, 3.0, -3.0)[None], np.random.default_rng(0), same_clicks=0.0)
    assert len(rollout.clicks[0]) == 2


def test_loss_is_zero_for_a_perfect_mask_only():
    truth = torch.zeros(1, 8, 8, 8, dtype=torch.bool)
    truth[:, 2:5] = True
    loss, dice = click_loss(torch.where(truth, 30.0, -30.0), truth)
    assert float(loss) < 1e-3
    assert dice == 1.0
    loss, dice = click_loss(torch.where(truth, -30.0, 30.0), truth)
    assert float(loss) > 5
    assert dice == 0.0
