import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dsm.ops.resample import linear_taps, resample, resample_ref

SHAPE = (9, 7, 11)


def random_volume(shape=SHAPE, *, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    origin=st.tuples(*[st.floats(-0.5, 6.0)] * 3),
    step=st.tuples(*[st.floats(-3.0, 3.0).filter(lambda s: abs(s) > 0.05)] * 3),
    size=st.tuples(*[st.integers(1, 12)] * 3),
    antialias=st.booleans(),
)
def test_equals_reference(seed, origin, step, size, antialias):
    volume = random_volume(seed=seed)
    fast = resample(volume, origin=origin, step=step, size=size, antialias=antialias)
    slow = resample_ref(volume, origin=origin, step=step, size=size, antialias=antialias)
    assert fast.shape == size
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)


def test_upsampling_equals_scipy():
    volume = random_volume()
    origin, step, size = (0.3, -0.4, 1.25), (0.4, 0.9, 0.75), (20, 8, 13)
    grid = np.meshgrid(*[o + s * np.arange(n) for o, s, n in zip(origin, step, size, strict=True)], indexing="ij")
    expected = ndimage.map_coordinates(volume.numpy(), grid, order=1, mode="nearest")
    np.testing.assert_allclose(resample(volume, origin=origin, step=step, size=size), expected, atol=1e-5)


def test_downsampling_equals_antialiased_torch_interpolation():
    image = random_volume((1, 40, 30))
    step = (1.0, 40 / 17, 30 / 11)
    origin = tuple(0.5 * s - 0.5 for s in step)
    expected = torch.nn.functional.interpolate(image[None], size=(17, 11), mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(resample(image, origin=origin, step=step, size=(1, 17, 11)), expected, atol=1e-4, rtol=0)


def test_crop_and_flip_are_exact():
    volume = random_volume()
    cut = resample(volume, origin=(2, 6, 0), step=(1, -1, 1), size=(5, 7, 11))
    assert torch.equal(cut, volume[2:7].flip(1))


def test_memory_order_does_not_matter():
    volume = random_volume()
    fortran = torch.from_numpy(np.asfortranarray(volume.numpy()))
    arguments = {"origin": (0.1, 0.2, 0.3), "step": (1.5, 0.5, 1.0), "size": (5, 9, 8)}
    torch.testing.assert_close(resample(fortran, **arguments), resample(volume, **arguments))


def test_integers_become_floats():
    volume = torch.tensor([-1000, 0, 1000], dtype=torch.int16).view(3, 1, 1)
    half = resample(volume, origin=(0.5, 0, 0), step=(1, 1, 1), size=(2, 1, 1))
    assert half.dtype == torch.float32
    assert half.flatten().tolist() == [-500.0, 500.0]


def test_constant_stays_constant_beyond_the_border():
    volume = torch.full((4, 4, 4), 37.0)
    result = resample(volume, origin=(-3.0, -0.5, 2.0), step=(1.7, 2.9, 1.2), size=(6, 3, 4))
    torch.testing.assert_close(result, torch.full((6, 3, 4), 37.0))


def test_fine_pattern_is_averaged_not_aliased():
    stripes = (torch.arange(64) % 2).float().view(64, 1, 1)
    result = resample(stripes, origin=(1.5, 0, 0), step=(4, 1, 1), size=(16, 1, 1)).flatten()[1:-1]
    torch.testing.assert_close(result, torch.full((14,), 0.5))


def test_rows_of_weights_sum_to_one():
    _, weight = linear_taps(10, origin=-0.4, step=2.3, size=5, antialias=True, device=torch.device("cpu"))
    torch.testing.assert_close(weight.sum(dim=1), torch.ones(5))
