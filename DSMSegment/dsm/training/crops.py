"""Random crops: one affine sampling step does resampling, rotation, scaling and cropping."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandBiasField,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandScaleIntensity,
    RandShiftIntensity,
)
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor
from torch.nn import functional as F

from dsm.inference.working_grid import EDGE_MULTIPLE
from dsm.training.cases import Case
from dsm.training.head_around_brain import add_head
from dsm.training.synthetic_images import random_deformation, synthetic_image

_MAX_ROTATION = math.radians(12)
_SCALE = (0.8, 1.25)
_AXIS_SCALE = 0.06
_SLICE_MM = (3.0, 7.0)
_JITTER_FRACTION = 0.3  # a chosen voxel lies within the central 60 % of the crop


@dataclass(frozen=True, slots=True)
class Crop:
    """A training sample.

    Attributes:
        image: `(1, C, I, J, K)` in [0, 1].
        masks: Masks of the annotated names at half resolution, `(names, I/2, J/2, K/2)`, bool.
        names: Annotated names, in the order of `masks`.
    """

    image: Tensor
    masks: Tensor
    names: tuple[str, ...]


class CropSampler:
    """Draw augmented crops from loaded cases.

    Args:
        size: Voxels `(I, J, K)`, multiples of 16. A crop is no larger than the grid of the scan at inference: a frame
            of zeros around small scans would tell the network which set they come from.
        spacing_mm: Grid of the crop.
        class_centered: Fraction of crops placed around a voxel of a random annotated name.
        generator: Source of randomness.
        channel_dropout: Fraction of crops in which the windows after the first are zero, as in scans that lack them.
        names: Annotated names that matter; None for all.
        random_contrast: Fraction of crops with a contrast of their own (`_random_contrast`), in the first window only.
        windows_hu: Intensity windows of the model, for synthetic images.
    """

    def __init__(
        self,
        size: tuple[int, int, int],
        spacing_mm: float,
        *,
        class_centered: float,
        generator: torch.Generator,
        channel_dropout: float = 0.0,
        names: Collection[str] | None = None,
        random_contrast: float = 0.0,
        windows_hu: Sequence[tuple[float, float]] = ((-125.0, 275.0),),
    ) -> None:
        self.size = torch.tensor(size)
        self.spacing_mm = spacing_mm
        self.class_centered = class_centered
        self.generator = generator
        self.channel_dropout = channel_dropout
        self.names_that_matter = names
        self.random_contrast = random_contrast
        self.windows_hu = windows_hu
        self.bias_field = RandBiasField(prob=0.7, coeff_range=(-0.3, 0.3))
        self.intensity = Compose(
            [
                RandGaussianSmooth((0.3, 1.0), (0.3, 1.0), (0.3, 1.0), prob=0.15),
                RandAdjustContrast(prob=0.3, gamma=(0.7, 1.4)),
                RandScaleIntensity(0.2, prob=0.5),
                RandShiftIntensity(0.1, prob=0.5),
                RandGaussianNoise(prob=0.3, std=0.05),
            ]
        )

    def __call__(
        self,
        case: Case,
        *,
        synthetic: float = 0.0,
        mr_share: float = 0.5,
        stripped: float = 0.0,
        mirrored: bool = False,
        deformed: float = 0.0,
        thick_slices: float = 0.0,
        with_head: float = 0.0,
    ) -> Crop:
        """Draw one crop of a case.

        Args:
            case: The case.
            synthetic: Probability that the image is synthesised from a deformed label map; a case without an image
                always is.
            mr_share: Probability that a synthetic image is MR-like.
            stripped: Probability that a synthetic image shows the brain alone.
            mirrored: Exchange left and right in half of the crops.
            deformed: Probability that a real image is deformed smoothly, as a synthetic one always is.
            thick_slices: Probability that a real image is seen in thick slices.
            with_head: Probability that the brain of a skull-stripped image gets a head around it.
        """
        spacing = torch.tensor(case.spacing_mm)
        matrix = self._transform() * self.spacing_mm / spacing[:, None]  # crop voxel → case voxel
        if mirrored and float(self._uniform(0, 1, 1)) < 0.5:
            matrix[:, 0] = -matrix[:, 0]
        size = self._size_in(case)
        center = self._center(case, matrix)
        center = center.where(size == self.size, (torch.tensor(case.label.shape[2:]) - 1) / 2)
        if synthetic and (not case.entry.has_image or float(self._uniform(0, 1, 1)) < synthetic):
            return self._synthetic(case, matrix, center, size, mr_share, stripped)
        field = None
        if deformed and float(self._uniform(0, 1, 1)) < deformed:
            field = random_deformation(size.tolist(), self.spacing_mm, self.generator)
        image = _sample(case.image, matrix, center, size, displacement=field)
        if with_head and float(self._uniform(0, 1, 1)) < with_head:
            image = add_head(image, self.spacing_mm, self.generator)
        if thick_slices and float(self._uniform(0, 1, 1)) < thick_slices:
            image = self._in_thick_slices(image)
        # Seeded a crop, so that the generator alone is the state of the sampler and a resumed run goes on alike.
        self.intensity.set_random_state(seed=int(torch.randint(2**31, (1,), generator=self.generator)))
        absent = image.flatten(2).amax(dim=2)[0] == 0
        if self.random_contrast and float(torch.rand((), generator=self.generator)) < self.random_contrast:
            image[:, :1] = self._random_contrast(image[0, :1])
            absent[1:] = True
        image = convert_to_tensor(self.intensity(image[0]))[None].clamp(0, 1)
        if image.shape[1] > 1:
            hidden = float(torch.rand((), generator=self.generator)) < self.channel_dropout
            image[:, 1:][:, absent[1:] | hidden] = 0.0
        halved = None if field is None else field[::2, ::2, ::2]
        return self._crop(case, image, _nearest(case.label[0, 0], matrix, center, size, step=2, displacement=halved))

    def _synthetic(
        self, case: Case, matrix: Tensor, center: Tensor, size: Tensor, mr_share: float, stripped: float
    ) -> Crop:
        field = random_deformation(size.tolist(), self.spacing_mm, self.generator)
        label = _nearest(case.label[0, 0], matrix, center, size, step=1, displacement=field)
        if stripped and float(self._uniform(0, 1, 1)) < stripped:
            label = self._brain_alone(case, label)
        image = synthetic_image(label, case.entry.names, self.windows_hu, generator=self.generator, mr_share=mr_share)
        if float(self._uniform(0, 1, 1)) < self.channel_dropout:
            image[:, 1:] = 0.0
        halved = _nearest(case.label[0, 0], matrix, center, size, step=2, displacement=field[::2, ::2, ::2])
        return self._crop(case, image, halved)

    def _brain_alone(self, case: Case, label: Tensor) -> Tensor:
        """Label ids of the brain, in half of the cases with the fluid around it; 0 elsewhere."""
        shown = case.entry.targets["brain"]
        if float(self._uniform(0, 1, 1)) < 0.5:
            shown += tuple(label_id for label_id, name in case.entry.names.items() if name == "cerebrospinal fluid")
        return torch.where(_isin(label, shown), label, torch.zeros_like(label))

    def _crop(self, case: Case, image: Tensor, label: Tensor) -> Crop:
        names = tuple(name for name in case.entry.targets if self._matters(name))
        masks = [_isin(label, case.entry.targets[name]) for name in names]
        return Crop(image=image, masks=torch.stack(masks) if masks else label[None][:0].bool(), names=names)

    def _random_contrast(self, image: Tensor) -> Tensor:
        """Intensities `(1, I, J, K)` through a random curve and a bias field; air stays dark.

        The curve is piecewise linear through 0 and 4 to 8 random values, so that organs may change their order.

        References:
            Domain randomisation: Billot et al., SynthSeg, Medical Image Analysis 86, 2023.
        """
        knots = int(torch.randint(4, 9, (), generator=self.generator))
        values = torch.cat([torch.zeros(1), torch.rand(knots, generator=self.generator)])
        position = image * knots
        low = position.long().clamp(0, knots - 1)
        mapped = torch.lerp(values[low], values[low + 1], position - low)
        self.bias_field.set_random_state(seed=int(torch.randint(2**31, (1,), generator=self.generator)))
        return convert_to_tensor(self.bias_field(mapped)).clamp(0, 1)

    def _in_thick_slices(self, image: Tensor) -> Tensor:
        """Average the slices of 3 to 7 mm of one axis, mostly the third, and interpolate between them."""
        axis = int(torch.randint(4, (), generator=self.generator))
        size = list(image.shape[2:])
        slices = list(size)
        slices[min(axis, 2)] = max(2, round(size[min(axis, 2)] * self.spacing_mm / float(self._uniform(*_SLICE_MM, 1))))
        thick = F.interpolate(image, size=slices, mode="area")
        return F.interpolate(thick, size=size, mode="trilinear", align_corners=False)

    def _matters(self, name: str) -> bool:
        return self.names_that_matter is None or name in self.names_that_matter

    def _uniform(self, low: float, high: float, count: int) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=self.generator)

    def _transform(self) -> Tensor:
        """Rotation times scale."""
        matrix = torch.diag(self._uniform(*_SCALE, 1) * self._uniform(1 - _AXIS_SCALE, 1 + _AXIS_SCALE, 3))
        for axis, angle in enumerate(self._uniform(-_MAX_ROTATION, _MAX_ROTATION, 3)):
            a, b = (axis + 1) % 3, (axis + 2) % 3
            rotation = torch.eye(3)
            rotation[a, a] = rotation[b, b] = angle.cos()
            rotation[a, b], rotation[b, a] = -angle.sin(), angle.sin()
            matrix = rotation @ matrix
        return matrix

    def _size_in(self, case: Case) -> Tensor:
        """Size of a crop of a case: along an axis where the scan is smaller, that of its grid at inference."""
        extent = torch.tensor(case.label.shape[2:]) * torch.tensor(case.spacing_mm) / self.spacing_mm
        return self.size.minimum(EDGE_MULTIPLE * (extent / EDGE_MULTIPLE).ceil().long())

    def _center(self, case: Case, matrix: Tensor) -> Tensor:
        shape = torch.tensor(case.label.shape[2:])
        names = sorted(name for name in case.present if self._matters(name))
        if names and torch.rand((), generator=self.generator) < self.class_centered:
            voxels = case.present[names[int(torch.randint(len(names), (), generator=self.generator))]]
            chosen = voxels[int(torch.randint(len(voxels), (), generator=self.generator))]
            jitter = self._uniform(-_JITTER_FRACTION, _JITTER_FRACTION, 3) * self.size
            return chosen + matrix @ jitter
        return self._uniform(0.15, 0.85, 3) * shape


def _nearest(
    labels: Tensor, matrix: Tensor, center: Tensor, size: Tensor, *, step: int, displacement: Tensor | None = None
) -> Tensor:
    """Labels `(I, J, K)` at every `step`-th position of the crop; 0 outside. No copy of the whole volume is made.

    `displacement` `(I, J, K, 3)` is in voxels of the crop.
    """
    position = [(torch.arange(0, n, step) + (step - 1) / 2 - (n - 1) / 2) for n in size.tolist()]
    where = (
        position[0][:, None, None, None] * matrix[:, 0]
        + position[1][None, :, None, None] * matrix[:, 1]
        + position[2][None, None, :, None] * matrix[:, 2]
        + center
    )
    if displacement is not None:
        where = where + displacement @ matrix.T
    where = where.round().long()
    shape = torch.tensor(labels.shape)
    inside = ((where >= 0) & (where < shape)).all(dim=-1)
    i, j, k = where.clamp_min(0).minimum(shape - 1).unbind(dim=-1)
    return labels[i, j, k].where(inside, torch.zeros((), dtype=labels.dtype))


def _sample(
    volume: Tensor, matrix: Tensor, center: Tensor, size: Tensor, *, displacement: Tensor | None = None
) -> Tensor:
    """Intensities `(1, C, I, J, K)` at the voxels of the crop, interpolated; 0 outside.

    `displacement` `(I, J, K, 3)` is in voxels of the crop.
    """
    shape = torch.tensor(volume.shape[2:])
    position = [torch.arange(n) - (n - 1) / 2 for n in size.tolist()]
    scale = 2 / (shape - 1)  # align_corners: voxel index 0 … n-1 → -1 … 1
    a = matrix * scale[:, None]
    grid = (
        position[0][:, None, None, None] * a[:, 0]
        + position[1][None, :, None, None] * a[:, 1]
        + position[2][None, None, :, None] * a[:, 2]
        + (center * scale - 1)
    )
    if displacement is not None:
        grid = grid + displacement @ a.T
    return F.grid_sample(volume, grid.flip(-1)[None], padding_mode="zeros", align_corners=True)


def _isin(label: Tensor, ids: tuple[int, ...]) -> Tensor:
    mask = torch.zeros_like(label, dtype=torch.bool)  # of an absent name there are no ids
    for label_id in ids:
        mask |= label == label_id
    return mask
