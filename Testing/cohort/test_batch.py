"""`dsm batch` with real workers: results, resume after a kill, worker crashes, and no names of patients."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from batch_process import Batch, command, environment
from dicom_series import DESCRIPTION, PATIENT, PATIENT_ID, phantom, write_series

highdicom = pytest.importorskip("highdicom")

# Takes a second to encode, so that there is time to interrupt it.
LARGE = (130, 110, 60)


def write_scan(path: Path, shape: tuple[int, int, int] = (48, 44, 20)) -> None:
    image = SimpleITK.GetImageFromArray(phantom(shape).transpose(2, 1, 0))
    image.SetSpacing((2.5, 2, 3))
    SimpleITK.WriteImage(image, str(path))


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "segments.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file: a file that was written again differs in both."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def wait_until(condition: object, timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_cohort_of_dicom_and_files(batch: Batch, tmp_path: Path) -> None:
    root, out = tmp_path / "scans", tmp_path / "out"
    uid = write_series(root / PATIENT / "1", prefix=PATIENT)
    tilted = write_series(root / PATIENT / "2", shear=0.3)
    missing = write_series(root / f"{PATIENT_ID}", depths=[0, 3, 6, 12, 15])
    write_scan(root / "scan one.nii.gz")
    (root / "broken.nrrd").write_bytes(b"NRRD0004\ntype: short\n")
    done = batch(root, out)
    assert done.returncode == 3, done.stderr
    rows = {(row["source"], row["name"]): row for row in rows_of(out)}
    assert rows[uid, "liver"]["status"] == "ok"
    assert rows["scan one.nii.gz", "liver tumor"]["status"] == "ok"
    refused = {source: row["error_code"] for (source, _), row in rows.items() if row["status"] == "failed"}
    assert refused == {
        tilted: "geometry.sheared",
        missing: "geometry.missing_slices",
        "broken.nrrd": "bad_image.format",
    }
    # The masks are those of `dsm segment`, on the same grid.
    seg = highdicom.seg.segread(out / rows[uid, "liver"]["file"])
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    volume_ml = float(rows[uid, "liver"]["volume_ml"])
    frames = seg.get_volume(segment_numbers=[1]).array
    assert np.count_nonzero(frames) * 2.5 * 2 * 3 / 1000 == pytest.approx(volume_ml, abs=0.01)
    assert (out / "overview-01.png").is_file()
    assert (out / "segments.parquet").is_file()
    with (out / "lesions.csv").open(encoding="utf-8-sig", newline="") as stream:
        lesions = [row for row in csv.DictReader(stream) if row["source"] == "scan one.nii.gz"]
    tumor = rows["scan one.nii.gz", "liver tumor"]
    assert len(lesions) == int(tumor["num_lesions"])
    assert sum(float(one["volume_ml"]) for one in lesions) == pytest.approx(float(tumor["volume_ml"]), abs=0.01)
    assert rows["scan one.nii.gz", "liver"]["num_lesions"] == ""
    assert not list(out.rglob(".dsm-part-*"))
    assert not (out / ".work").exists()
    # Nobody learns from what was printed, from a file name, or from the table whose scans these were.
    said = done.stdout + done.stderr + "\n".join(everything(out))
    said += "".join(path.read_text(encoding="utf-8-sig") for path in [*out.glob("*.csv"), *out.rglob("*.json")])
    for secret in (PATIENT, PATIENT_ID, "Vertraulich", "Erika", DESCRIPTION, "19700101"):
        assert secret not in said


def test_result_of_another_model_is_named_as_its_own(batch: Batch, tmp_path: Path) -> None:
    root, out = tmp_path / "scans", tmp_path / "out"
    root.mkdir()
    write_scan(root / "a.nii.gz")
    done = batch(root, out, "--model", "dsm-small", "--prompt", "mandible", "--modality", "CT", "--fast")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in rows_of(out)}
    assert (rows["liver"]["model"], rows["mandible"]["model"]) == ("dsm-small", "dsm-head-heart")
    assert rows["liver"]["model_sha256"] != rows["mandible"]["model_sha256"]
    assert "zero_shot" not in rows["mandible"]["flags"]


def test_second_run_skips_finished_cases_and_refuses_other_options(batch: Batch, tmp_path: Path) -> None:
    write_series(tmp_path / "scans" / "a")
    assert batch(tmp_path / "scans", tmp_path / "out", "--format", "nii.gz").returncode == 0
    before = everything(tmp_path / "out" / "segmentations") | everything(tmp_path / "out" / "cases")
    again = batch(tmp_path / "scans", tmp_path / "out", "--format", "nii.gz")
    assert (again.returncode, "1 of the 1 in an earlier run" in again.stdout) == (0, True)
    assert everything(tmp_path / "out" / "segmentations") | everything(tmp_path / "out" / "cases") == before
    other = batch(tmp_path / "scans", tmp_path / "out", "--format", "nii.gz", "--no-postprocess")
    assert other.returncode == 2
    assert "other prompts" in other.stderr
    # What was removed is done again.
    (removed,) = (tmp_path / "out" / "segmentations").glob("*.nii.gz")
    removed.unlink()
    assert batch(tmp_path / "scans", tmp_path / "out", "--format", "nii.gz").returncode == 0
    assert removed.is_file()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_run_is_resumed(batch: Batch, tmp_path: Path, how: signal.Signals) -> None:
    root, out = tmp_path / "scans", tmp_path / "out"
    root.mkdir()
    for number in range(4):
        write_scan(root / f"{number}.nii.gz", *[LARGE] * (number > 1))
    with subprocess.Popen(command(root, out), env=environment(), stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: len(list((out / "cases").glob("[!.]*.json"))) >= 2)
        process.send_signal(how)
        process.wait(60)
    finished = everything(out / "cases")
    assert 2 <= len(finished) < 4
    names = {name.removesuffix(".json") for name in finished}
    masks = {path: stamp for path, stamp in everything(out / "segmentations").items() if path.split(".")[0] in names}
    assert len(masks) == len(finished)
    if how == signal.SIGTERM:
        assert process.returncode == 130
        assert not (out / ".work").exists()
        assert len(rows_of(out)) == 2 * len(finished)
        assert not list(out.rglob(".dsm-part-*"))
    (out / "segmentations" / ".dsm-part-0123.seg.nrrd").write_bytes(b"half")
    again = batch(root, out)
    assert again.returncode == 0, again.stderr
    assert f", {len(finished)} of the " in again.stdout
    assert everything(out / "cases").items() >= finished.items()
    assert everything(out / "segmentations").items() >= masks.items()
    assert [row["status"] for row in rows_of(out)] == ["ok"] * 8
    assert not (out / ".work").exists()
    assert not list(out.rglob(".dsm-part-*"))


def test_killed_worker_costs_one_attempt(tmp_path: Path, dsm_tiny: Path) -> None:
    root, out = tmp_path / "scans", tmp_path / "out"
    root.mkdir()
    write_scan(root / "a.nii.gz", LARGE)
    with subprocess.Popen(command(root, out), env=environment(), stderr=subprocess.PIPE, text=True) as process:
        children = Path(f"/proc/{process.pid}/task")

        def worker() -> list[int]:
            return [int(pid) for task in children.iterdir() for pid in (task / "children").read_text().split()]

        wait_until(lambda: list((out / ".work").glob("dsm-worker-*/*.npy")) if out.exists() else [])
        (pid,) = worker()
        os.kill(pid, signal.SIGKILL)
        assert process.wait(120) == 0
    (outcome,) = [json.loads(path.read_text()) for path in (out / "cases").glob("*.json")]
    assert (outcome["status"], outcome["attempts"]) == ("ok", 2)


def test_results_are_independent_of_the_number_of_workers(batch: Batch, tmp_path: Path) -> None:
    root = tmp_path / "scans"
    root.mkdir()
    for number in range(3):
        write_scan(root / f"{number}.nii.gz", (40 + 4 * number, 44, 20))
    tables = []
    for workers in ("1", "2"):
        out = tmp_path / workers
        assert batch(root, out, "--workers", workers).returncode == 0
        tables.append([{**row, "seconds": ""} for row in rows_of(out)])
    assert tables[0] == tables[1]


def test_concurrent_run_in_the_same_folder_is_refused(tmp_path: Path, batch: Batch) -> None:
    from dsm.io.folder_lock import folder_lock

    write_series(tmp_path / "scans")
    (tmp_path / "out").mkdir()
    with folder_lock(tmp_path / "out"):
        done = batch(tmp_path / "scans", tmp_path / "out")
    assert (done.returncode, "Another run" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "dcm"), "a DICOM SEG could refer to"),
        (("--format", "rtstruct.dcm"), "a DICOM RT Structure Set could refer to"),
        (("--workers", "0"), "0 workers"),
        (("--threshold", "2"), "between 0 and 1"),
        (("--model", "dsm-none"), "No model"),
    ],
)
def test_invalid_arguments_create_no_folder(
    batch: Batch, tmp_path: Path, arguments: tuple[str, str], words: str
) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"x")
    done = batch(tmp_path / "a.nii.gz", tmp_path / "out", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()
