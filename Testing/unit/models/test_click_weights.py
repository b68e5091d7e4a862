import pytest
import torch

from dsm.errors import ModelNotFoundError, WeightsError
from dsm.models.click_weights import WEIGHTS_FILE, find_refiner, load_refiner, save_refiner
from dsm.nn.click_refiner import CHANNELS, ClickRefiner, ClickRefinerConfig


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    config = ClickRefinerConfig(name="tiny", channels=(8, 8, 8, 8), detail=2, trained=("liver",))
    net = ClickRefiner(config).eval()
    save_refiner(net, config, tmp_path / "tiny")
    return net, config, tmp_path / "tiny"


def test_round_trip(saved):
    net, config, folder = saved
    again, read = load_refiner(folder)
    assert read == config
    x = torch.rand(1, len(CHANNELS), 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(again(x), net(x), rtol=0.01, atol=0.01)


def test_file_has_two_bytes_per_weight(saved):
    net, _, folder = saved
    weights = sum(value.numel() for value in net.state_dict().values())
    assert (folder / WEIGHTS_FILE).stat().st_size < 2.2 * weights + 10_000


def test_networks_are_found_by_name_and_folder(saved, monkeypatch):
    monkeypatch.setenv("DSM_MODEL_DIR", str(saved[2].parent))
    assert find_refiner("tiny") == find_refiner(saved[2]) == saved[2]
    with pytest.raises(ModelNotFoundError, match="No click network"):
        find_refiner("nothing")


def test_damaged_file_is_refused(saved):
    (saved[2] / WEIGHTS_FILE).write_bytes(b"x")
    with pytest.raises(WeightsError):
        load_refiner(saved[2])
    (saved[2] / WEIGHTS_FILE).unlink()
    with pytest.raises(ModelNotFoundError):
        load_refiner(saved[2])
