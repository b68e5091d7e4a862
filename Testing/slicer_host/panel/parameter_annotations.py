"""Annotations of parameters, as `slicer.parameterNodeWrapper` has them: the ranges and choices that a value must keep.

Held against `validators.py` and `guiConnectors.py` of Slicer 5.10.0 and 5.13. Left out: `NotNone`, `IsInstance`,
`Exclude`, `RangeBounds`, `Default`.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

PUBLISHED = ("WithinRange", "Minimum", "Maximum", "Choice", "Decimals", "SingleStep")


class Validator:
    """Refuses values."""

    def validate(self, value: Any) -> None:
        """Raise ValueError unless the value may be kept."""
        raise NotImplementedError


@dataclass
class WithinRange(Validator):
    """A number from `minimum` to `maximum`."""

    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not in the range of {self.minimum} to {self.maximum}.")


@dataclass
class Minimum(Validator):
    """A number of `minimum` or more."""

    minimum: float

    def validate(self, value: float) -> None:
        if value < self.minimum:
            raise ValueError(f"{value} is below {self.minimum}.")


@dataclass
class Maximum(Validator):
    """A number of `maximum` or less."""

    maximum: float

    def validate(self, value: float) -> None:
        if value > self.maximum:
            raise ValueError(f"{value} is above {self.maximum}.")


@dataclass
class Choice(Validator):
    """One of some values."""

    choices: Sequence[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"{value} is none of {self.choices}.")


@dataclass
class Decimals:
    """Decimal places that a widget shows."""

    value: int


@dataclass
class SingleStep:
    """Step of a spin box or slider."""

    value: float


def split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type and its annotations."""
    kind, *annotations = typing.get_args(Annotated[hint, None])
    return kind, tuple(annotations[:-1])


def first(annotations: Sequence[Any], kind: type) -> Any:
    """Return the first annotation of a class, or None."""
    return next((annotation for annotation in annotations if isinstance(annotation, kind)), None)
