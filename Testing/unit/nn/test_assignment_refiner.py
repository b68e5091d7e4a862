import torch

from dsm.nn.assignment_refiner import AssignmentRefiner


def test_starts_as_the_identity():
    affinity = torch.randn(2, 5, 40)
    torch.testing.assert_close(AssignmentRefiner(5)(affinity), affinity)


def test_receptive_field_is_bidirectional():
    refiner = AssignmentRefiner(5)
    torch.nn.init.normal_(refiner.leave.weight)
    affinity = torch.randn(1, 5, 40, requires_grad=True)
    (gradient,) = torch.autograd.grad(refiner(affinity)[0, :, 20].square().sum(), affinity)
    assert (gradient[0].abs().sum(dim=0) > 0).all()


def test_all_parameters_have_gradients_after_two_steps():
    # The published block ran without gradients.
    refiner = AssignmentRefiner(5)
    optimizer = torch.optim.SGD(refiner.parameters(), lr=0.1)
    affinity = torch.randn(1, 5, 40)
    for _ in range(2):
        optimizer.zero_grad()
        refiner(affinity).square().mean().backward()
        optimizer.step()
    silent = [name for name, parameter in refiner.named_parameters() if not parameter.grad.any()]
    assert not silent
