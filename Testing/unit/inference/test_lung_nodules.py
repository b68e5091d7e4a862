import numpy as np
import pytest

from dsm.core.volume import Volume

SHAPE = (44, 40, 40)
MM = 3.0
LUNG = (slice(4, 40), slice(4, 36), slice(4, 36))
IN_THE_MIDDLE = (22, 20, 20)
LUNGS = ("right lung", "left lung")


def ball(center, radius_mm):
    return (
        sum((axis - at) ** 2 for axis, at in zip(np.ogrid[:44, :40, :40], center, strict=True)) <= (radius_mm / MM) ** 2
    )


def tube(radius_mm):
    """From the wall through half of the lung."""
    across = sum((axis - 20) ** 2 for axis in np.ogrid[:40, :40]) <= (radius_mm / MM) ** 2
    mask = np.zeros(SHAPE, bool)
    mask[:22, across] = True
    return mask


def chest(solid=None, *, modality="CT", affine=None):
    """Soft tissue of 40 HU with one lung of -800 HU in it, and something solid of 20 HU in the lung."""
    rng = np.random.default_rng(0)
    array = rng.normal(40, 8, SHAPE)
    array[LUNG] = rng.normal(-800, 20, array[LUNG].shape)
    if solid is not None:
        array[solid] = 20
    return Volume(array.astype(np.float32), np.diag([MM, MM, MM, 1]) if affine is None else affine, modality=modality)


@pytest.fixture
def found(make_segmenter):
    """Output of a network that has learned lungs, but no lung tumors."""

    def of(volume, prompt="lung tumor", trained=LUNGS):
        vectors = dict.fromkeys(("lung tumor", "lung metastasis", "lung cyst"), (2.0, 5.0))
        segmenter = make_segmenter(stride=2, vectors=vectors, organs=LUNGS, trained=trained)
        segmenter.net.organ_levels = [0.1, 0.1]
        segmenter.net.mask_head = lambda queries, embedding: 40 * (queries[..., None, None] - embedding)  # what is dark
        return segmenter.encode(volume).segment(prompt)[0]

    return of


def dice(result, mask):
    return 2 * (result.full_mask() & mask).sum() / (result.full_mask().sum() + mask.sum())


@pytest.mark.parametrize("prompt", ["lung tumor", "pulmonary metastases"])
def test_nodule_in_the_lung_is_found(found, prompt):
    nodule = ball(IN_THE_MIDDLE, 10)
    result = found(chest(nodule), prompt)
    assert dice(result, nodule) > 0.85
    assert any("lies in aerated lung" in warning for warning in result.warnings)


@pytest.mark.parametrize(("center", "radius_mm"), [((10, 20, 20), 24), (IN_THE_MIDDLE, 42)])
def test_mass_at_the_chest_wall_is_found(found, center, radius_mm):
    mass = ball(center, radius_mm) & (chest().array < -400)
    assert dice(found(chest(mass)), mass) > 0.8


@pytest.mark.parametrize("solid", [None, tube(4), ball((4, 20, 20), 9), ball(IN_THE_MIDDLE, 4)])
def test_vessels_wall_bumps_and_specks_are_not_nodules(found, solid):
    assert not found(chest(solid)).found


def test_nodule_is_separated_from_adjacent_vessels(found):
    nodule = ball((34, 12, 28), 10)
    assert dice(found(chest(nodule | tube(4))), nodule) > 0.85


@pytest.mark.parametrize("signs", [(-1, -1, 1), (1, -1, -1), (-1, 1, -1)])
def test_position_is_independent_of_axis_order(found, signs):
    affine = np.array([[0, MM * signs[0], 0, 5], [MM * signs[1], 0, 0, -7], [0, 0, MM * signs[2], 3], [0, 0, 0, 1.0]])
    nodule = ball((30, 12, 25), 10)
    assert dice(found(chest(nodule, affine=affine)), nodule) > 0.85


@pytest.mark.parametrize(
    ("prompt", "modality", "trained"),
    [("lung cyst", "CT", LUNGS), ("lung tumor", "MR", LUNGS), ("lung tumor", "CT", ())],
    ids=["a cyst is dark", "MR shows no air", "unknown lungs"],
)
def test_network_is_used_in_other_cases(found, prompt, modality, trained):
    result = found(chest(ball(IN_THE_MIDDLE, 10), modality=modality), prompt, trained)
    assert not result.found
    assert not any("lies in aerated lung" in warning for warning in result.warnings)


def test_image_without_lungs_has_no_result(found):
    volume = chest()
    volume.array[LUNG] = 40
    assert not found(volume).found
