import numpy as np

from dsm.training.soft_tissue_from_density import soft_tissue_from_density


def test_thick_parts_of_muscle_density():
    image = np.full((60, 60, 20), -100.0, dtype=np.float32)  # fat
    image[10:30, 10:30] = 60.0  # muscle
    image[10:30, 40:42] = 60.0  # skin
    image[40:55, 10:30] = 400.0  # bone
    found = soft_tissue_from_density(image, [1.5, 1.5, 3.0])
    assert found[12:28, 12:28].all()
    assert not found[:, 40:42].any()
    assert not found[41:54, 11:29].any()


def test_noise_does_not_cause_holes():
    rng = np.random.default_rng(0)
    image = rng.normal(50, 25, (40, 40, 12)).astype(np.float32)
    assert soft_tissue_from_density(image, [1.5, 1.5, 3.0])[8:-8, 8:-8, 4:-4].mean() > 0.99
