"""Signals while a result is written: the file is always complete, with the old or the new result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("highdicom")

# Writes two results in turn to the same name, until it is stopped.
_CODE = """
import os, pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it
sys.path.insert(0, sys.argv[2])
import writers
import numpy as np
from dsm.core.boxes import CroppedArray
from dsm.io.segment_record import SegmentRecord
from dsm.io.formats import format_of
kind, out = sys.argv[1], pathlib.Path(sys.argv[3])
series = pathlib.Path(os.environ["DSM_TEST_SERIES"])
scan = writers.read_volume(series) if kind.endswith("dcm") else writers.volume()
mask = CroppedArray(writers.random_mask(scan.shape), (0, 0, 0))
both = [[SegmentRecord(name, mask, (1, 2, 3))] for name in ("one", "two")]
files = [str(path) for path in sorted(series.iterdir())]
write = lambda r: format_of(out).write(out, r, scan, files)
write(both[0])
print("begun", flush=True)
try:
    for n in range(100_000):
        write(both[n % 2])
except KeyboardInterrupt:
    pass
"""


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
    tmp_path: Path, series: Path, kind: str, how: signal.Signals
) -> None:
    out = tmp_path / f"out.{kind}"
    package = Path(__file__).parents[2] / "DSMSegment"
    environment = {**os.environ, "DSM_TEST_SERIES": str(series), "PYTHONPATH": str(package)}
    command = [sys.executable, "-c", _CODE, kind, str(Path(__file__).parent), str(out)]
    for delay in (0.0, 0.037, 0.11):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            time.sleep(delay)
            process.send_signal(how)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:  # Python drops an interrupt in a finaliser: people repeat it
                process.send_signal(how)
                process.wait(60)
        assert is_complete(out)
        left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".dsm-part-")]
        # Nobody can clean up after SIGKILL: hidden files with a name of their own, never the name of a result.
        assert how == signal.SIGKILL or not left
        for name in left:
            (tmp_path / name).unlink()
