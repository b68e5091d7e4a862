from pathlib import Path

import pytest
import yaml

from dsm.errors import ConfigError
from dsm.training.click_recipe import KIND, ClickRecipe
from dsm.training.recipe import Recipe, read_recipe

RECIPES = sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))
RECIPES = [path for path in RECIPES if not path.stem.startswith("calibration")]
MINIMAL = {
    "model": {"name": "x", "organs": ["liver"], "tumors": []},
    "data_root": "data",
    "sources": [{"folder": "btcv", "weight": 1.0}],
    "phases": [
        {"steps": 10, "spacing_mm": 2, "crop": [32, 48, 64], "lr": 0.1},
        {"steps": 5, "spacing_mm": 1.5, "crop": [32, 32, 32], "lr": 0.1, "lr_end": 0.01, "freeze_norm": True},
    ],
}


def load(tmp_path, values):
    path = tmp_path / "recipe.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return Recipe.load(path)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_load(path):
    kind = ClickRecipe if read_recipe(path).get("kind") == KIND else Recipe
    recipe = kind.load(path)
    assert recipe.total_steps > 0
    assert recipe.sources


def test_minimal(tmp_path):
    recipe = load(tmp_path, MINIMAL)
    assert recipe.total_steps == 15
    assert recipe.phases[0].crop == (32, 48, 64)
    assert recipe.phases[0].lr_end is None
    assert recipe.phases[1].freeze_norm
    assert recipe.sources[0].folder == "btcv"
    assert recipe.id_dropout == 0.3


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        Recipe.load(tmp_path / "no.yaml")


@pytest.mark.parametrize("text", ["", "3", "- a\n- b", "just words"])
def test_not_a_recipe(tmp_path, text):
    with pytest.raises(ConfigError, match="is not a recipe"):
        load(tmp_path, text)


def test_not_yaml(tmp_path):
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(tmp_path, "a: [1")


@pytest.mark.parametrize("key", sorted(MINIMAL))
def test_missing_key(tmp_path, key):
    with pytest.raises(ConfigError, match=f"incomplete.*{key}"):
        load(tmp_path, {k: v for k, v in MINIMAL.items() if k != key})


def test_unknown_keys_have_a_suggestion(tmp_path):
    with pytest.raises(ConfigError, match="'sead'") as caught:
        load(tmp_path, {**MINIMAL, "sead": 1})
    assert caught.value.hint == "Did you mean 'seed'?"
    phase = {**MINIMAL["phases"][0], "stps": 3}
    with pytest.raises(ConfigError, match="'stps'"):
        load(tmp_path, {**MINIMAL, "phases": [phase]})
    with pytest.raises(ConfigError, match="'wait'"):
        load(tmp_path, {**MINIMAL, "sources": [{"folder": "x", "wait": 1}]})


@pytest.mark.parametrize("crop", [[32, 32], [32, 32, 40], [0, 16, 16]])
def test_crop_must_be_a_multiple_of_the_stride(tmp_path, crop):
    phase = {**MINIMAL["phases"][0], "crop": crop}
    with pytest.raises(ConfigError, match="multiples of 16"):
        load(tmp_path, {**MINIMAL, "phases": [phase]})
