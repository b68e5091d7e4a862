from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dsm.cohort.outcome import FAILED, OK, Finding, Outcome, read_outcome, write_outcome
from dsm.cohort.settings import CohortSettings
from dsm.cohort.table import COLUMNS, LESION_COLUMNS, write_tables
from dsm.core.name_status import ResultSource
from dsm.core.options import SegmentOptions
from dsm.errors import OutputError
from dsm.inference.lesion_list import MeasuredLesion
from dsm.io.folder_lock import folder_lock

SETTINGS = CohortSettings(prompts=("=1+1; liver",), model="dsm-tiny", model_sha256="f" * 64)
LIVER = Finding(
    prompt="=1+1", name="liver", kind="organ", code="SCT 10200004", found=True, score=0.91234567, volume_ml=1512.4
)
NOTHING = Finding(prompt="spleen", name="spleen", kind="organ", code="", found=False, score=None, volume_ml=0.0)
GUESS = replace(NOTHING, source=ResultSource.GUESS, found=True, volume_ml=3.0)
LESION = MeasuredLesion(
    volume_ml=8.125,
    longest_mm=34.1,
    perpendicular_mm=21.4,
    slice_number=17,
    mean=61.25,
    sd=14.5,
    center_ras_mm=(-41.0, 12.5, 301.0),
    longest_ends_ras_mm=((-58.0, 12.5, 301.0), (-23.9, 12.5, 301.0)),
    perpendicular_ends_ras_mm=((-41.0, 1.8, 301.0), (-41.0, 23.2, 301.0)),
    voxel_ijk=(10, 11, 12),
)
TUMOR = replace(
    LIVER,
    prompt="liver tumor",
    name="liver tumor",
    kind="tumor",
    lesions=(LESION, replace(LESION, volume_ml=0.5)),
    warnings=("Check it.",),
)
DONE = Outcome(
    case="a",
    source="a.nii",
    status=OK,
    fingerprint="x",
    modality="CT",
    shape=(5, 6, 7),
    spacing_mm=(0.7, 0.7, 2.5),
    notes=("Taken for CT: why.", "A slice was left out."),
    findings=(LIVER, NOTHING),
    file="segmentations/a.seg.nrrd",
)
BROKEN = Outcome(case="b", source="b.nii", status=FAILED, fingerprint="x", error_code="bad_image", error="Umlaut ü.")


def test_one_row_per_prompt_and_per_failure(tmp_path: Path) -> None:
    write_tables(tmp_path, [DONE, BROKEN], SETTINGS)
    with (tmp_path / "segments.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["case"] for row in rows] == ["a", "a", "b"]
    assert rows[0]["prompt"] == "'=1+1"  # else a spreadsheet would compute it
    assert rows[0]["notes"] == "Taken for CT: why. A slice was left out."
    assert (rows[0]["volume_ml"], rows[0]["score"], rows[0]["spacing_mm"]) == ("1512.4", "0.9123", "0.7x0.7x2.5")
    assert (rows[1]["found"], rows[1]["file"], rows[1]["score"]) == ("False", "", "")
    assert (rows[2]["status"], rows[2]["error"], rows[2]["name"]) == ("failed", "Umlaut ü.", "")


def test_file_name_that_is_no_utf8(tmp_path: Path) -> None:
    outcome = replace(DONE, source="a\udcff.nii", findings=(TUMOR,))
    write_outcome(tmp_path, outcome)
    assert read_outcome(tmp_path / "a.json") == outcome
    write_tables(tmp_path, [outcome], SETTINGS)
    for name in ("segments.csv", "lesions.csv"):
        with (tmp_path / name).open(encoding="utf-8-sig", newline="") as stream:
            assert {row["source"] for row in csv.DictReader(stream)} == {"a\\udcff.nii"}


def test_table_names_the_model_of_each_result(tmp_path: Path) -> None:
    other = replace(LIVER, name="mandible", model="dsm-head-heart", model_sha256="a" * 64)
    outcome = replace(DONE, findings=(LIVER, other))
    write_outcome(tmp_path, outcome)
    write_tables(tmp_path, [read_outcome(tmp_path / "a.json") or BROKEN], SETTINGS)
    with (tmp_path / "segments.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = [(row["name"], row["model"], row["model_sha256"]) for row in csv.DictReader(stream)]
    assert rows == [("liver", "dsm-tiny", "f" * 64), ("mandible", "dsm-head-heart", "a" * 64)]


def test_table_has_the_source_of_each_result(tmp_path: Path) -> None:
    outcome = replace(DONE, findings=(LIVER, GUESS, replace(NOTHING, source=ResultSource.NONE)))
    write_outcome(tmp_path, outcome)
    read = read_outcome(tmp_path / "a.json")
    assert read == outcome
    write_tables(tmp_path, [read], SETTINGS)
    with (tmp_path / "segments.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert [row["result_source"] for row in csv.DictReader(stream)] == ["learned", "guess", "not known"]


def test_lesions_have_a_separate_table(tmp_path: Path) -> None:
    outcome = replace(
        DONE, findings=(LIVER, TUMOR, replace(NOTHING, kind="tumor", lesions=()), replace(TUMOR, lesions=None))
    )
    write_outcome(tmp_path, outcome)
    read = read_outcome(tmp_path / "a.json")
    assert read == outcome
    write_tables(tmp_path, [read, BROKEN], SETTINGS)
    with (tmp_path / "segments.csv").open(encoding="utf-8-sig", newline="") as stream:
        # Unknown for an organ, and in a record from before there was a list.
        assert [row["num_lesions"] for row in csv.DictReader(stream)] == ["", "2", "0", "", ""]
    with (tmp_path / "lesions.csv").open(encoding="utf-8-sig", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert first == {
        "case": "a",
        "source": "a.nii",
        "prompt": "liver tumor",
        "name": "liver tumor",
        "code": "SCT 10200004",
        "result_source": "learned",
        "lesion": "1",
        "volume_ml": "8.125",
        "longest_mm": "34.1",
        "perpendicular_mm": "21.4",
        "mean": "61.25",
        "sd": "14.5",
        "center_r_mm": "-41.0",
        "center_a_mm": "12.5",
        "center_s_mm": "301.0",
        "slice_number": "17",
        "modality": "CT",
        "warnings": "Check it.",
        "file": "segmentations/a.seg.nrrd",
    }
    assert (second["lesion"], second["volume_ml"]) == ("2", "0.5")


def test_parquet_has_the_same_rows_and_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_tables(tmp_path, [DONE, BROKEN], SETTINGS)
    table = parquet.read_table(tmp_path / "segments.parquet")
    assert table.column_names == [name for name, _ in COLUMNS]
    assert table.column("volume_ml").to_pylist() == [1512.4, 0.0, None]
    assert table.column("score").to_pylist() == [0.9123, None, None]
    assert table.column("found").to_pylist() == [True, False, False]
    assert table.column("prompt").to_pylist()[0] == "=1+1"
    write_tables(tmp_path, [replace(DONE, findings=(LIVER, TUMOR))], SETTINGS)
    assert parquet.read_table(tmp_path / "segments.parquet").column("num_lesions").to_pylist() == [None, 2]
    lesions = parquet.read_table(tmp_path / "lesions.parquet")
    assert lesions.column_names == [name for name, _ in LESION_COLUMNS]
    assert lesions.column("longest_mm").to_pylist() == [34.1, 34.1]


def test_cohort_without_results_has_an_empty_table(tmp_path: Path) -> None:
    write_tables(tmp_path, [], SETTINGS)
    assert len((tmp_path / "segments.csv").read_text().splitlines()) == 1
    assert len((tmp_path / "lesions.csv").read_text().splitlines()) == 1


def test_outcome_round_trip(tmp_path: Path) -> None:
    write_outcome(tmp_path, DONE)
    assert read_outcome(tmp_path / "a.json") == DONE


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"case": 1}', b"\xff\xfe", b"[" * 10_000])
def test_damaged_outcome_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert read_outcome(tmp_path / "a.json") is None


def test_every_setting_is_in_the_fingerprint() -> None:
    others = [
        CohortSettings(prompts=("liver",), model="dsm-tiny", model_sha256="f" * 64),
        CohortSettings(prompts=SETTINGS.prompts, model="dsm-tiny", model_sha256="e" * 64),
        CohortSettings(
            prompts=SETTINGS.prompts, model="dsm-tiny", model_sha256="f" * 64, options=SegmentOptions(threshold=0.4)
        ),
        CohortSettings(prompts=SETTINGS.prompts, model="dsm-tiny", model_sha256="f" * 64, format="dcm"),
    ]
    assert len({one.fingerprint for one in [SETTINGS, *others]}) == 5


def test_folder_lock_is_exclusive_and_released_on_process_exit(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from dsm.io.folder_lock import folder_lock\n"
        "with folder_lock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    import dsm

    path = {**os.environ, "PYTHONPATH": str(Path(dsm.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=path) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(OutputError) as caught, folder_lock(tmp_path):
            pass
        assert caught.value.code == "output.busy"
        other.kill()
    with folder_lock(tmp_path):
        pass
