"""Probability maps, one `.nii.gz` per prompt."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.errors import OutputError
from dsm.io.atomic import atomic_output
from dsm.io.nifti import write_nifti
from dsm.io.segment_record import check_on_grid

# Windows refuses these as the names of files, with any suffix.
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}

# Most file systems allow 255 bytes; this leaves room for a number and the suffix.
_MAX_NAME_BYTES = 120


def write_probabilities(
    folder: str | os.PathLike[str], maps: Sequence[tuple[str, CroppedArray]], volume: Volume
) -> list[Path]:
    """Write every map on the full grid, as float32; all or none.

    Args:
        folder: Made if it does not exist; its parent must.
        maps: Name of the prompt and its probability, 0 outside of the box.
        volume: Whose grid the maps are on.

    Returns:
        The files, in the order of `maps`; named after the prompts, numbered where names meet.

    Raises:
        ShapeError: If a map reaches outside of the grid.
        OutputError: If a file cannot be written.
    """
    for name, crop in maps:
        check_on_grid(name, crop, volume)
    target = Path(folder)
    made_folder = _make(target)
    files = [target / name for name in file_names([name for name, _ in maps])]
    try:
        with ExitStack() as stack:
            parts = [stack.enter_context(atomic_output(file)) for file in files]
            for part, (_, crop) in zip(parts, maps, strict=True):
                write_nifti(part, crop, volume.shape, volume.affine, geometry=volume.nifti)
    except BaseException:
        if made_folder:
            with suppress(OSError):
                target.rmdir()
        raise
    return files


def file_names(names: Sequence[str]) -> list[str]:
    """Return a `.nii.gz` file name per name: valid on every system, and unique where case is ignored.

    Example:
        >>> file_names(["Liver", "liver", "a/b: c?", ""])
        ['Liver.nii.gz', 'liver_2.nii.gz', 'a_b_c.nii.gz', 'prompt.nii.gz']
    """
    taken: set[str] = set()
    result = []
    for name in names:
        stem = _stem(name)
        number, unique = 1, stem
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem}_{number}"
        taken.add(unique.casefold())
        result.append(f"{unique}.nii.gz")
    return result


def _stem(name: str) -> str:
    # Letters and digits of any script, hyphens and underscores; everything else becomes one underscore.
    stem = re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", name)).strip("_-")
    while len(stem.encode()) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    stem = stem or "prompt"
    return f"{stem}_" if stem.casefold() in _RESERVED else stem


def _make(folder: Path) -> bool:
    if folder.is_dir():
        return False
    try:
        folder.mkdir()
    except FileExistsError as error:
        raise OutputError(f"{folder} is a file.", code="output.is_file", hint="Give the name of a folder.") from error
    except FileNotFoundError as error:
        raise OutputError(
            f"The folder {folder.parent} does not exist.", code="output.no_folder", hint="Create it or choose another."
        ) from error
    except PermissionError as error:
        raise OutputError(
            f"{folder} cannot be made: no permission.",
            code="output.permission",
            hint="Choose a folder that you may write to.",
        ) from error
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}.", hint="Choose another folder.") from error
    return True
