"""The head that is put around a skull-stripped brain: what stays, and what is added where."""

from __future__ import annotations

import pytest
import torch

from dsm.training.head_around_brain import add_head

SPACING_MM = 2.0


def brain(windows: int = 2) -> torch.Tensor:
    """A ball of 40 mm in `(1, windows, 64, 64, 64)`, the second window without values."""
    position = torch.stack(torch.meshgrid(*[torch.arange(64.0) - 31.5] * 3, indexing="ij"))
    image = torch.zeros(1, windows, 64, 64, 64)
    image[0, 0] = 0.5 * (position.norm(dim=0) * SPACING_MM < 40)
    return image


def with_head(image: torch.Tensor, seed: int) -> torch.Tensor:
    return add_head(image, SPACING_MM, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(6))
def test_head_is_around_the_brain_which_stays(seed: int) -> None:
    image = brain()
    head = with_head(image, seed)
    inside = image[0, 0] > 0
    assert torch.equal(head[0, 0][inside], image[0, 0][inside])
    assert head.min() >= 0
    assert head.max() <= 1
    added = (head[0, 0] > 0) & ~inside
    radii = torch.stack(torch.meshgrid(*[torch.arange(64.0) - 31.5] * 3, indexing="ij")).norm(dim=0) * SPACING_MM
    upper = torch.arange(64) > 40
    thickness = radii[added & upper].max() - 40
    assert 3 < thickness < 28, "fluid, skull and scalp in mm"
    assert not head[0, 1].any(), "a window without values stays so"


def test_heads_differ_in_thickness_and_intensity() -> None:
    assert len({float(with_head(brain(), seed).sum()) for seed in range(6)}) == 6


def test_ventricles_are_no_skull() -> None:
    image = brain()
    image[0, 0, 30:33, 30:33, 30:33] = 0.0
    assert torch.equal(with_head(image, 0)[0, 0, 25:38, 25:38, 25:38], image[0, 0, 25:38, 25:38, 25:38])


def test_image_without_a_brain_is_unchanged() -> None:
    image = torch.zeros(1, 1, 16, 16, 16)
    assert with_head(image, 0) is image
