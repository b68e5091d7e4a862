import pytest
import torch

from dsm.ops.ddim import TRAINING_STEPS, cosine_signal, sample


@pytest.fixture(scope="module")
def diffusers_scheduler():
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=TRAINING_STEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
    )


def test_schedule_equals_diffusers(diffusers_scheduler):
    steps = torch.arange(TRAINING_STEPS)
    torch.testing.assert_close(cosine_signal(steps).float(), diffusers_scheduler.alphas_cumprod, rtol=1e-4, atol=1e-6)
    assert cosine_signal(torch.tensor(-1)) == 1


@pytest.mark.parametrize("num_steps", [1, 2, 4])
def test_sampling_equals_diffusers(diffusers_scheduler, num_steps):
    noise = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))

    def predict(x, level):
        return torch.tanh(x * 0.7 + level)

    diffusers_scheduler.set_timesteps(num_steps)
    x = noise
    for step in diffusers_scheduler.timesteps:
        clean = predict(x, (float(step) + 1) / TRAINING_STEPS)
        x = diffusers_scheduler.step(clean, step, x, eta=0.0).prev_sample
    torch.testing.assert_close(sample(predict, noise, num_steps=num_steps), x, rtol=1e-3, atol=1e-4)


def test_perfect_denoiser_returns_the_clean_sample():
    truth = torch.tensor([1.0, -1.0])
    assert torch.equal(sample(lambda _x, _level: truth, torch.randn(2), num_steps=3), truth)
