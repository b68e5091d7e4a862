import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from dsm.errors import ModelNotFoundError, WeightsError
from dsm.models.config import ModelConfig
from dsm.models.weights import load_model, save_model
from dsm.nn.prompt_batch import PromptBatch


@pytest.fixture(scope="module")
def saved(dsm_tiny, tmp_path_factory):
    """A folder with configuration and weights only."""
    folder = tmp_path_factory.mktemp("weights") / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(dsm_tiny / name, folder / name)
    return folder


@pytest.fixture
def damaged(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "damaged")


def test_round_trip_in_half_precision(saved, tmp_path):
    net, config = load_model(saved)
    save_model(net, config, tmp_path / "again")
    again, same_config = load_model(tmp_path / "again")
    assert same_config == config
    assert {t.dtype for t in load_file(tmp_path / "again" / "model.safetensors").values()} == {
        torch.float16,
        torch.int64,  # batches that a BatchNorm has seen
    }
    for name, tensor in net.state_dict().items():  # these were half precision before, so nothing is lost
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (saved / "model.safetensors").read_bytes()


def test_float32_on_disk_is_exact(saved, tmp_path):
    net, config = load_model(saved)
    net.mask_head.gamma.fill_(1 / 3)
    save_model(net, config, tmp_path, dtype=torch.float32)
    assert load_model(tmp_path)[0].mask_head.gamma.item() == torch.tensor(1 / 3).item()


class TestEightBits:
    @pytest.fixture
    def stored(self, saved, tmp_path):
        save_model(*load_model(saved), tmp_path / "int8", dtype=torch.int8)
        return tmp_path / "int8"

    def test_quantization_error_is_within_half_a_step(self, saved, stored):
        before = load_model(saved)[0].state_dict()
        rounded = 0
        for name, tensor in load_model(stored)[0].state_dict().items():
            if torch.equal(tensor, before[name]):
                continue
            rounded += 1
            step = before[name].flatten(1).abs().amax(dim=1) / 127
            assert ((tensor - before[name]).flatten(1).abs() <= 0.51 * step[:, None]).all(), name
        assert rounded > 20

    def test_int8_file_is_smaller_than_half_precision(self, saved, stored):
        sizes = [(folder / "model.safetensors").stat().st_size for folder in (saved, stored)]
        assert sizes[1] < 0.75 * sizes[0]  # the tiny network consists of small tensors, which stay float16

    def test_quantization_is_idempotent(self, stored, tmp_path):
        save_model(*load_model(stored), tmp_path / "again", dtype=torch.int8)
        first, second = (load_model(folder)[0].state_dict() for folder in (stored, tmp_path / "again"))
        for name, tensor in first.items():
            torch.testing.assert_close(second[name], tensor, rtol=1e-6, atol=0)

    def test_statistics_and_small_tensors_are_not_quantized(self, stored):
        dtypes = {name: tensor.dtype for name, tensor in load_file(stored / "model.safetensors").items()}
        assert all(dtypes[name] == torch.float16 for name in dtypes if name.endswith((".running_mean", ".bias")))
        assert dtypes["organ_text"] == torch.float16

    @pytest.mark.parametrize("damage", ["missing", "short", "scalar", "orphan"])
    def test_inconsistent_scales_are_refused(self, stored, damage):
        path = stored / "model.safetensors"
        tensors = load_file(path)
        name = next(name for name in tensors if name.endswith(".int8_scale"))
        scale = tensors.pop(name)
        if damage == "short":
            tensors[name] = scale[:-1].clone()
        elif damage == "scalar":
            tensors[name] = scale[0].clone()
        elif damage == "orphan":
            tensors[name] = scale
            tensors["organ_text.int8_scale"] = scale.clone()
        save_file(tensors, path)
        with pytest.raises(WeightsError, match="do not fit"):
            load_model(stored)

    def test_non_finite_weight_is_kept(self, saved, tmp_path):
        net, config = load_model(saved)
        net.encoder.stage8[3].conv1.weight.view(-1)[0] = float("inf")
        save_model(net, config, tmp_path, dtype=torch.int8)
        again = load_model(tmp_path)[0]
        assert again.encoder.stage8[3].conv1.weight.flatten()[0].isinf()


def test_value_beyond_half_precision_is_kept(saved, tmp_path):
    net, config = load_model(saved)
    variance = net.pixel_decoder.fusion8.mix_norm.running_var.fill_(1e6)
    save_model(net, config, tmp_path)
    torch.testing.assert_close(load_model(tmp_path)[0].pixel_decoder.fusion8.mix_norm.running_var, variance)


def test_loaded_model_is_ready_for_inference(saved):
    net, config = load_model(saved)
    assert not net.training
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert net.organ_text.shape == (config.num_organs, config.text_dim)
    logits = net(torch.rand(1, 1, 16, 16, 32), PromptBatch.from_text(net.organ_text[:2])).logits
    assert logits.isfinite().all()


@pytest.mark.parametrize("size", [0, 4, 100, 100_000])
def test_truncated_file(damaged, size):
    path = damaged / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(WeightsError, match="cannot be read") as caught:
        load_model(damaged)
    assert caught.value.hint


def test_file_of_another_format(damaged):
    (damaged / "model.safetensors").write_bytes(b"PK\x03\x04" + bytes(1000))
    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(damaged)


def test_missing_file(damaged):
    (damaged / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match=r"model\.safetensors"):
        load_model(damaged)


@pytest.mark.parametrize(
    "changes",
    [
        {"embed_dim": 24},
        {"layers_per_level": 2},
        {"organs": ["liver"]},
        {"state_space_refinement": False},
        {"channels": [8, 12, 16]},
        {"channels": "wide"},
        {"decoder_channels": None},
        {"query_dim": -1},
    ],
)
def test_weights_of_another_network(damaged, changes):
    path = damaged / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(WeightsError, match="do not fit") as caught:
        load_model(damaged)
    assert caught.value.code == "model.schema"


def test_failing_load_changes_no_global_state(damaged):
    config = ModelConfig.load(damaged)
    (damaged / "config.json").write_text(json.dumps({"schema_version": 1, "name": "x", "organs": ["a"], "tumors": []}))
    with pytest.raises(WeightsError):
        load_model(damaged)
    assert torch.empty(1).device.type == "cpu"
    config.save(damaged)
    load_model(damaged)
