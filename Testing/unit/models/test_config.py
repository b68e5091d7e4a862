import dataclasses
import json

import pytest

from dsm.errors import ConfigError, ModelNotFoundError, WeightsError
from dsm.models.config import ModelConfig

MINIMAL = {"schema_version": 1, "name": "x", "organs": ["liver", "spleen"], "tumors": ["liver tumor"]}


def write(folder, values):
    (folder / "config.json").write_text(values if isinstance(values, str) else json.dumps(values))
    return folder


def test_round_trip(tmp_path):
    config = ModelConfig(
        name="x",
        organs=("liver",),
        tumors=(),
        trained=("liver",),
        channels=(1, 2, 3, 4),
        num_blocks=(4, 3, 2, 1),
        decoder_channels=(5, 6, 7),
        embed_dim=8,
        query_dim=9,
        num_heads=3,
        layers_per_level=1,
        text_dim=10,
        text_tower="clip",
        spacing_mm=2.0,
        windows_hu=((-1000.0, 400.0), (-125.0, 275.0)),
        structures=("heart",),
        state_space_refinement=False,
        visual_prompt=True,
        organ_offset=0.2,
        tumor_offset=0.5,
        tumor_part_confidence={"liver tumor": 0.6},
        only_in={"MR": ("heart",)},
    )
    defaults = ModelConfig(name="x", organs=("liver",), tumors=())
    same = {f.name for f in dataclasses.fields(config) if getattr(config, f.name) == getattr(defaults, f.name)}
    assert same == {"name", "organs", "tumors", "schema_version"}  # every other key takes part in the round trip
    config.save(tmp_path)
    assert ModelConfig.load(tmp_path) == config


def test_omitted_keys_have_defaults(tmp_path):
    config = ModelConfig.load(write(tmp_path, MINIMAL))
    assert config.channels == (24, 48, 96, 192)
    assert (config.num_organs, config.num_channels) == (2, 1)


def test_unknown_key_has_a_suggestion(tmp_path):
    with pytest.raises(ConfigError, match="'chanels'") as caught:
        ModelConfig.load(write(tmp_path, {**MINIMAL, "chanels": [1]}))
    assert caught.value.hint == "Did you mean 'channels'?"


def test_missing_key(tmp_path):
    with pytest.raises(ConfigError, match="organs"):
        ModelConfig.load(write(tmp_path, {"schema_version": 1, "name": "x", "tumors": []}))


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_schema_version(tmp_path, version):
    # Keys that this program does not know are no reason to complain about a key: the version comes first.
    with pytest.raises(WeightsError, match="schema version") as caught:
        ModelConfig.load(write(tmp_path, {**MINIMAL, "schema_version": version, "from_the_future": 1}))
    assert caught.value.code == "model.schema"
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "3"])
def test_not_a_configuration(tmp_path, text):
    with pytest.raises(WeightsError, match=r"config\.json"):
        ModelConfig.load(write(tmp_path, text))


def test_not_utf8(tmp_path):
    (tmp_path / "config.json").write_bytes(b'{"name": "\xff"}')
    with pytest.raises(WeightsError, match="not valid JSON"):
        ModelConfig.load(tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(ModelNotFoundError) as caught:
        ModelConfig.load(tmp_path)
    assert "dsm models list" in caught.value.hint
