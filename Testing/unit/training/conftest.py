import pytest


@pytest.fixture(autouse=True)
def seeded():
    """The same random numbers in every run, whichever tests run before."""
    import torch

    torch.manual_seed(0)
