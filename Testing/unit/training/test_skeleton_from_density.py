import numpy as np

from dsm.training.skeleton_from_density import skeleton_from_density

SPACING_MM = [1.5, 1.5, 3.0]


def scan() -> np.ndarray:
    image = np.full((80, 80, 30), 40.0, dtype=np.float32)
    image[20:40, 20:40] = 900.0  # cortex of 3 mm around marrow
    image[22:38, 22:38] = 120.0
    image[60:70, 60:70, 5:25] = 400.0  # bowel with contrast agent
    return image


def test_bone_includes_marrow_and_excludes_contrast_agent():
    found = skeleton_from_density(scan(), SPACING_MM)
    assert found[21:39, 21:39].all()
    assert not found[55:].any()
    assert not found[:15].any()


def test_only_the_largest_component_in_a_clipped_scan():
    found = skeleton_from_density(scan().clip(-125, 275), SPACING_MM)
    assert found[21:39, 21:39].all()
    assert not found[55:].any()


def test_soft_tissue_has_no_skeleton():
    assert not skeleton_from_density(np.full((20, 20, 10), 60.0, np.float32), SPACING_MM).any()
