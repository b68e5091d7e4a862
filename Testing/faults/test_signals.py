"""Signals while a result is written: the file is always complete, with the old or the new result."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("highdicom")

pytestmark = pytest.mark.xdist_group("signals")  # in one test process, which makes its fixtures once

# For each line, a copy of this process writes two results in turn to the same name, until it is stopped. Copies have
# what writes them, which takes seconds to import.
_CODE = """
import json, os, pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it
sys.path.insert(0, sys.argv[1])
import contourpy, highdicom, SimpleITK
import writers
from dsm.core.boxes import CroppedArray
from dsm.io.segment_record import SegmentRecord
from dsm.io.formats import format_of
for line in sys.stdin:
    if child := os.fork():
        os.waitpid(child, 0)
        print("ended", flush=True)
        continue
    series, out = map(pathlib.Path, json.loads(line))
    scan = writers.read_volume(series) if out.name.endswith("dcm") else writers.volume()
    mask = CroppedArray(writers.random_mask(scan.shape), (0, 0, 0))
    both = [[SegmentRecord(name, mask, (1, 2, 3))] for name in ("one", "two")]
    files = [str(path) for path in sorted(series.iterdir())]
    write = lambda r: format_of(out).write(out, r, scan, files)
    write(both[0])
    print(os.getpid(), flush=True)
    try:
        for n in range(100_000):
            write(both[n % 2])
    except KeyboardInterrupt:
        pass
    break
"""


@pytest.fixture(scope="module")
def copies() -> Iterator[subprocess.Popen[bytes]]:
    """Process of `_CODE`."""
    package, here = Path(__file__).parents[2] / "DSMSegment", Path(__file__).parent
    command = [sys.executable, "-c", _CODE, str(here)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    environment = {**os.environ, "PYTHONPATH": str(package)}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def is_complete(path: Path) -> bool:
    import SimpleITK

    if path.name.endswith(".rtstruct.dcm"):
        import pydicom

        return pydicom.dcmread(path).StructureSetROISequence[0].ROIName in ("one", "two")
    if path.suffix == ".dcm":
        import highdicom

        return highdicom.seg.segread(path).get_segment_description(1).segment_label in ("one", "two")
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).any()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("kind", ["seg.nrrd", "nii.gz", "dcm", "rtstruct.dcm"])
def test_interrupted_writer_leaves_a_complete_result(
    copies: subprocess.Popen[bytes], tmp_path: Path, series: Path, kind: str, how: signal.Signals
) -> None:
    out = tmp_path / f"out.{kind}"
    for delay in (0.0, 0.037, 0.11):
        copies.stdin.write(json.dumps([str(series), str(out)]).encode() + b"\n")
        writer = int(copies.stdout.readline())
        time.sleep(delay)
        os.kill(writer, how)
        while not select.select([copies.stdout], [], [], 20)[0]:
            os.kill(writer, how)  # Python drops an interrupt in a finaliser: people repeat it
        assert copies.stdout.readline() == b"ended\n"
        assert is_complete(out)
        left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".dsm-part-")]
        # Nobody can clean up after SIGKILL: hidden files with a name of their own, never the name of a result.
        assert how == signal.SIGKILL or not left
        for name in left:
            (tmp_path / name).unlink()
