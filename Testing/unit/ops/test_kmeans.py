import torch

from dsm.ops.kmeans import center_update, hard_assignment


def test_voxel_is_assigned_to_its_best_query_or_to_none():
    affinity = torch.tensor([[[3.0, -1.0, 0.5], [2.0, -2.0, 0.6]]])  # (1, 2 queries, 3 voxels)
    expected = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    torch.testing.assert_close(hard_assignment(affinity, torch.tensor(0.0)), expected)


def test_void_takes_voxels_of_lower_affinity():
    affinity = torch.randn(2, 4, 50)
    assert hard_assignment(affinity, affinity.max() + 1).sum() == 0
    everything = hard_assignment(affinity, affinity.min() - 1)
    assert (everything.sum(dim=1) == 1).all()
    assert (everything.argmax(dim=1) == affinity.argmax(dim=1)).all()


def test_tie_is_assigned_once():
    assert hard_assignment(torch.ones(1, 3, 2), torch.tensor(0.0)).sum(dim=1).tolist() == [[1.0, 1.0]]


def test_assignment_has_no_gradient():
    affinity = torch.randn(1, 2, 3, requires_grad=True)
    assert not hard_assignment(affinity, torch.tensor(0.0)).requires_grad


def test_center_is_the_sum_over_the_count_plus_one():
    assignment = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]])
    values = torch.tensor([[[3.0, 6.0], [9.0, 0.0], [100.0, 100.0]]])
    torch.testing.assert_close(center_update(assignment, values), torch.tensor([[[4.0, 2.0], [0.0, 0.0]]]))


def test_center_is_independent_of_volume_size():
    values = torch.full((1, 20_000, 3), 2.0)
    torch.testing.assert_close(center_update(torch.ones(1, 1, 20_000), values), values[:, :1], rtol=1e-3, atol=0)
