import numpy as np
import pytest

from dsm.core.boxes import Box, CroppedArray
from dsm.core.volume import Volume
from dsm.inference.anatomy import MEDIAN_HU, VOLUME_ML, AnatomyCheck, _centroid
from dsm.text.vocabulary import load_vocabulary

SHAPE = (80, 50, 60)
SPACING = 5.0  # mm: 0.125 ml a voxel


@pytest.fixture
def volume():
    """A body of 350 × 200 × 300 mm in air; index i grows to the patient's left (LPS axes)."""
    array = np.full(SHAPE, -1000.0, dtype=np.float32)
    array[5:75, 5:45, :] = 40
    return Volume(array, np.diag([-SPACING, -SPACING, SPACING, 1.0]), modality="CT")


@pytest.fixture
def check(volume):
    return AnatomyCheck(volume, Box((0, 0, 0), SHAPE))


def block(start, size):
    return CroppedArray(np.ones(size, dtype=np.uint8), start)


def flags(check, name, mask):
    return check(name, mask, float(np.count_nonzero(mask.array)) * SPACING**3 / 1000)


def test_plausible_organs_have_no_flag(check):
    assert flags(check, "liver", block((10, 10, 20), (25, 24, 20))) == ()  # 1500 ml
    assert flags(check, "spleen", block((60, 20, 25), (10, 12, 10))) == ()
    assert flags(check, "left kidney", block((52, 28, 18), (8, 8, 16))) == ()
    assert flags(check, "right kidney", block((22, 36, 18), (8, 8, 16))) == ()


def test_implausible_volume_is_flagged(check):
    (flag,) = flags(check, "liver", block((5, 5, 0), (62, 37, 60)))
    assert "17205 ml is more than the liver of an adult" in flag
    (flag,) = flags(check, "liver", block((20, 20, 20), (4, 4, 4)))
    assert "8 ml is less than the liver" in flag


def test_structure_cut_by_scan_or_region_may_be_small(volume, check):
    assert flags(check, "liver", block((20, 20, 0), (4, 4, 4))) == ()
    region = AnatomyCheck(volume, Box((10, 10, 10), (24, 40, 40)))
    assert flags(region, "liver", block((20, 20, 20), (4, 4, 4))) == ()


@pytest.mark.parametrize(("name", "wrong"), [("left kidney", "right"), ("spleen", "right"), ("right lung", "left")])
def test_wrong_side(check, name, wrong):
    right, left = (12, 28, 18), (58, 28, 18)
    flag, *_ = flags(check, name, block(right if wrong == "right" else left, (14, 14, 16)))
    assert f"on the {wrong} side of the body, where no {name} is expected" in flag


def test_side_is_independent_of_axis_order(volume):
    turned = Volume(
        volume.array[::-1].transpose(2, 0, 1),
        np.array([[0, SPACING, 0, -SPACING * (SHAPE[0] - 1)], [0, 0, -SPACING, 0], [SPACING, 0, 0, 0], [0, 0, 0, 1.0]]),
        modality="CT",
    )
    whole = Box((0, 0, 0), turned.shape)
    start = (18, SHAPE[0] - 12 - 14, 28)  # the right kidney's place in the other order
    assert len(flags(AnatomyCheck(turned, whole), "left kidney", block(start, (16, 14, 14)))) == 1
    assert flags(AnatomyCheck(turned, whole), "right kidney", block(start, (16, 14, 14))) == ()


def test_side_is_not_checked_in_an_image_of_one_side():
    array = np.full((36, 40, 40), 40.0, dtype=np.float32)
    narrow = Volume(array, np.diag([-SPACING, -SPACING, SPACING, 1.0]), modality="CT")
    check = AnatomyCheck(narrow, Box((0, 0, 0), narrow.shape))
    assert flags(check, "left kidney", block((4, 10, 10), (8, 8, 16))) == ()


@pytest.mark.parametrize(("hu", "is_flagged"), [(40, False), (-30, False), (250, False), (350, True), (-500, True)])
def test_density(volume, hu, is_flagged):
    volume.array[10:35, 10:34, 20:40] = hu
    found = flags(AnatomyCheck(volume, Box((0, 0, 0), SHAPE)), "liver", block((10, 10, 20), (25, 24, 20)))
    assert [f"{hu} HU is not that of the liver" in flag for flag in found] == [True] * is_flagged


def test_density_is_not_checked_in_mr(volume):
    mr = Volume(volume.array + 1500, volume.affine, modality="MR")
    assert flags(AnatomyCheck(mr, Box((0, 0, 0), SHAPE)), "liver", block((10, 10, 20), (25, 24, 20))) == ()


def test_overlapping_organs_are_flagged(check):
    assert flags(check, "pancreas", block((30, 20, 20), (10, 8, 8))) == ()
    (flag,) = flags(check, "duodenum", block((30, 20, 20), (9, 8, 8)))
    assert "that of pancreas are mostly the same voxels" in flag


def test_whole_may_overlap_its_parts(check):
    assert flags(check, "heart", block((30, 15, 30), (16, 16, 20))) == ()
    assert flags(check, "left atrium", block((34, 18, 34), (8, 8, 8))) == ()


def test_unknown_structures_are_not_checked(check):
    assert flags(check, "liver tumor", block((10, 10, 10), (1, 1, 1))) == ()


def test_tables_use_names_of_the_vocabulary():
    assert [name for name in VOLUME_ML if load_vocabulary().get(name) is None] == []
    assert set(MEDIAN_HU) <= set(VOLUME_ML)
    assert all(0 < low < high for low, high in VOLUME_ML.values())


@pytest.mark.parametrize("size", [(300, 200, 150), (7, 5, 3)])
def test_centroid_from_samples_matches_the_mask(size):
    """Two thirds of a box, and a single voxel of a large one, which the sample may miss."""
    array = np.zeros(size, dtype=np.uint8)
    array[: size[0] // 3 * 2, 1:] = 1
    expected = np.argwhere(array).mean(axis=0) + np.array((10, 20, 30))
    assert _centroid(CroppedArray(array, (10, 20, 30))) == pytest.approx(expected, abs=5)
    alone = np.zeros(size, dtype=np.uint8)
    alone[1, 3, 1] = 1
    assert _centroid(CroppedArray(alone, (10, 20, 30))) == pytest.approx((11, 23, 31))
