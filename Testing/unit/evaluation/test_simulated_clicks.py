import numpy as np
import pytest

from dsm.evaluation.simulated_clicks import first_click, next_click


@pytest.fixture
def ball():
    grid = np.moveaxis(np.indices((24, 24, 24)), 0, -1)
    return np.linalg.norm(grid - (10, 12, 13), axis=-1) < 7


def test_first_click_has_the_requested_depth(ball):
    depths = []
    for seed in range(50):
        voxel = first_click(ball, np.random.default_rng(seed), depth=0.6)
        assert ball[voxel]
        depths.append(np.linalg.norm(np.array(voxel) - (10, 12, 13)))
    assert max(depths) <= 0.4 * 7 + 1
    assert len(set(depths)) > 5


def test_depth_is_in_millimetres():
    mask = np.zeros((30, 30, 6), dtype=bool)
    mask[:, :10, :] = True  # 10 mm wide, 30 mm thick
    voxel = first_click(mask, np.random.default_rng(0), depth=1.0, spacing=(1.0, 1.0, 5.0))
    assert 4 <= voxel[1] <= 5


def test_the_next_click_lies_in_the_largest_error(ball):
    missed, extra = ball.copy(), ball.copy()
    missed[:11] = False
    voxel, inside = next_click(ball, missed, np.random.default_rng(0))
    assert inside
    assert ball[voxel]
    assert not missed[voxel]
    extra[0:8, 0:8, 0:8] = True
    voxel, inside = next_click(ball, extra, np.random.default_rng(0))
    assert not inside
    assert not ball[voxel]


def test_no_next_click_for_equal_masks(ball):
    assert next_click(ball, ball, np.random.default_rng(0)) is None


def test_clicks_are_reproducible_with_the_same_seed(ball):
    assert first_click(ball, np.random.default_rng(3)) == first_click(ball, np.random.default_rng(3))
