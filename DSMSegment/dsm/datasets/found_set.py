"""Result of reading a layout: cases and the meaning of their labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dsm.core.volume import Volume
from dsm.errors import ImageError


@dataclass(frozen=True, slots=True)
class FoundCase:
    """A case of a data set, nothing loaded yet.

    Args:
        case_id: Name of the case.
        image: Its file, or what makes the image where no file can be used as it is; None for a label map alone.
        label: Likewise; label ids as in `FoundSet.labels`.
        modality: `"CT"` or `"MR"`.
    """

    case_id: str
    image: Path | Callable[[], Volume] | None
    label: Path | Callable[[], Volume]
    modality: str = "CT"


@dataclass(frozen=True, slots=True)
class FoundSet:
    """A data set.

    Args:
        name: Of the set.
        labels: Name of each label id; names of the vocabulary where there is one.
        cases: In the order that decides the split.
        annotated: Names that are known; a label that is not among them has no usable meaning ("prostate/uterus").
        union: Names that are made of several labels.
        complete: False if a name is known only in the cases that have it.
    """

    name: str
    labels: Mapping[int, str]
    cases: Sequence[FoundCase]
    annotated: Sequence[str]
    union: Mapping[str, Sequence[str]] = field(default_factory=dict)
    complete: bool = True


def find_place(folder: Path, *names: str, depth: int = 3) -> Path | None:
    """Find the folder that holds all of `names`: `folder`, or the nearest below it, as archives unpack to.

    Args:
        folder: Where to begin.
        names: Files or folders.
        depth: How far below to look.
    """
    for level in range(depth + 1):
        places = sorted(folder.glob("/".join("*" * level))) if level else [folder]
        for place in places:
            if place.is_dir() and all((place / name).exists() for name in names):
                return place
    return None


def image_files(folder: Path) -> list[Path]:
    """List the `.nii.gz` files of a folder by name, without those that macOS leaves in archives (`._x.nii.gz`)."""
    return sorted(path for path in folder.glob("*.nii.gz") if not path.name.startswith("."))


def stem(path: Path) -> str:
    """Name of a file without `.nii.gz`."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def no_layout(folder: Path, layout: str, needed: str) -> ImageError:
    """The error for a folder that is not what it should be."""
    return ImageError(f"{folder} is not a {layout} folder.", code="dataset.layout", hint=f"It must hold {needed}.")
