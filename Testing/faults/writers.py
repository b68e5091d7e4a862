"""Every file that DSM writes for a user, by name: `WRITERS[name](folder)`. As a script: all of them, under limits."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "dicom_phantoms"), str(Path(__file__).parents[2] / "DSMSegment")]

from dsm.cohort.outcome import OK, Outcome, write_outcome  # noqa: E402
from dsm.cohort.settings import CohortSettings  # noqa: E402
from dsm.cohort.table import write_tables  # noqa: E402
from dsm.cohort.thumbnail import draw_pages, draw_thumbnail  # noqa: E402
from dsm.core.boxes import CroppedArray  # noqa: E402
from dsm.core.volume import Volume  # noqa: E402
from dsm.errors import DSMError  # noqa: E402
from dsm.io.formats import format_of  # noqa: E402
from dsm.io.image import read_volume  # noqa: E402
from dsm.io.segment_record import SegmentRecord  # noqa: E402
from dsm.io.segmentation import write_labelmap, write_probabilities, write_seg_nrrd  # noqa: E402


def random_mask(shape: tuple[int, int, int]) -> np.ndarray:
    """Return a random mask, which cannot be compressed well."""
    return (np.random.default_rng(0).random(shape) > 0.5).astype(np.uint8)


def volume() -> Volume:
    shape = (64, 64, 40)
    return Volume(np.random.default_rng(1).normal(size=shape).astype(np.float32), np.eye(4))


def records(scan: Volume) -> list[SegmentRecord]:
    return [SegmentRecord("liver", CroppedArray(random_mask(scan.shape), (0, 0, 0)), (200, 100, 50))]


def _dicom(file: Path) -> None:
    series = Path(os.environ["DSM_TEST_SERIES"])
    scan = read_volume(series)
    format_of(file).write(file, records(scan), scan, [str(path) for path in sorted(series.iterdir())])


def _table(folder: Path) -> None:
    many = [Outcome(case=f"c{n}", source="x" * 200, status=OK, fingerprint="x") for n in range(400)]
    write_tables(folder, many, CohortSettings(prompts=("liver",), model="m", model_sha256="0"))


def _pages(folder: Path) -> None:
    picture = Path(os.environ["DSM_TEST_PICTURE"])
    draw_pages(folder, [picture] * 24)


WRITERS: dict[str, Callable[[Path], object]] = {
    "seg.nrrd": lambda folder: write_seg_nrrd(folder / "out.seg.nrrd", records(volume()), volume()),
    "nii.gz": lambda folder: write_labelmap(folder / "out.nii.gz", records(volume()), volume()),
    "dcm": lambda folder: _dicom(folder / "out.dcm"),
    "rtstruct.dcm": lambda folder: _dicom(folder / "out.rtstruct.dcm"),
    "probabilities": lambda folder: write_probabilities(
        folder, [("liver", CroppedArray(volume().array.astype(np.float16), (0, 0, 0)))], volume()
    ),
    "outcome": lambda folder: write_outcome(folder, Outcome(case="c", source="x" * 20_000, status=OK, fingerprint="x")),
    "table": _table,
    "thumbnail": lambda folder: draw_thumbnail(folder / "c.png", volume(), records(volume()), ("a", "b")),
    "pages": _pages,
}


def codes_of(folder: Path, limit: int) -> dict[str, str]:
    """Try every writer while no file may grow beyond `limit` bytes (0: as it may); returns the error code of each."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit or most, most))
    codes = {}
    for name, write in WRITERS.items():
        before = sorted(path.name for path in folder.iterdir())
        try:
            write(folder)
            codes[name] = "written"
        except DSMError as error:
            codes[name] = error.code
        except Exception as error:
            codes[name] = repr(error)
        if codes[name] != "written" and sorted(path.name for path in folder.iterdir()) != before:
            codes[name] += ", and left something behind"
    return codes


def main() -> None:
    """Answer each line `[folder, series, picture, limit]` by the error codes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for line in sys.stdin:
        folder, os.environ["DSM_TEST_SERIES"], os.environ["DSM_TEST_PICTURE"], limit = json.loads(line)
        print(json.dumps(codes_of(Path(folder), limit)), flush=True)


if __name__ == "__main__":
    main()
