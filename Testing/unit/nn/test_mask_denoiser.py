import pytest
import torch

from dsm.nn.kmax_layer import LevelMemory
from dsm.nn.mask_denoiser import MaskDenoiser

SIZE = (4, 5, 6)


@pytest.fixture
def denoise():
    torch.manual_seed(0)
    net = MaskDenoiser(16, 2, width=8).eval()
    memory = LevelMemory(
        keys=torch.nn.functional.normalize(torch.randn(1, 16, 120), dim=1), values=torch.randn(1, 120, 16)
    )
    anomaly, organs = torch.rand(1, *SIZE), torch.randn(1, 3, 16)

    def denoise(noisy, time, queries, memory=memory, anomaly=anomaly, organs=organs):
        with torch.inference_mode():
            return net(noisy, time, queries, memory, anomaly, organs)

    return denoise


def test_prompts_and_hypotheses_are_independent(denoise):
    noisy, time, queries = torch.randn(3, 2, *SIZE), torch.tensor([0.2, 0.9]), torch.randn(1, 3, 16)
    together = denoise(noisy, time, queries)
    for prompt in range(3):
        for hypothesis in range(2):
            alone = denoise(
                noisy[prompt : prompt + 1, hypothesis : hypothesis + 1],
                time[hypothesis : hypothesis + 1],
                queries[:, prompt : prompt + 1],
            )
            torch.testing.assert_close(together[prompt, hypothesis], alone[0, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("what", ["noisy", "time", "queries", "anomaly", "organs"])
def test_output_depends_on_all_inputs(denoise, what):
    given = {
        "noisy": torch.randn(1, 1, *SIZE),
        "time": torch.tensor([0.5]),
        "queries": torch.randn(1, 1, 16),
        "anomaly": torch.rand(1, *SIZE),
        "organs": torch.randn(1, 3, 16),
    }
    changed = {**given, what: given[what] + 0.3 * torch.rand(given[what].shape)}
    assert (denoise(**given) - denoise(**changed)).abs().max() > 1e-4


def test_receptive_field_is_local(denoise):
    noisy = torch.zeros(1, 1, *SIZE)
    spot = noisy.clone()
    spot[0, 0, 0, 0, 0] = 5.0
    time, queries = torch.tensor([0.5]), torch.randn(1, 1, 16)
    change = (denoise(spot, time, queries) - denoise(noisy, time, queries)).abs()[0, 0]
    assert change[0, 0, 0] > 1e-4
    assert not change[:, :, 5:].any() or change[:, :, 5:].max() < change[0, 0, 0]
