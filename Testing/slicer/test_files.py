"""Results survive saving and loading in both of Slicer's formats."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import slicer
from phantoms import SPACING_MM, affine_of, found, mask_in, mask_of, obliqueness, tag_of, volume_node
from real_runs import body_node
from scene_host import SceneHost

from dsm.cli.main import main
from dsm.core.segment_tags import from_tags
from dsm.errors import ImageError
from dsm.io.seg_nrrd_reader import read_segments
from DSMSegmentLib import OutcomeStatus, Provenance, SegmentationWriter, volumeFromNode
from DSMSegmentLib.panel.result_rows import resultRows
from DSMSegmentLib.scene.mrml import segmentVolumeMl
from DSMSegmentLib.scene.segment_tags import factsOf

MASKS = {"liver": mask_of(seed=1), "liver tumor": mask_of(seed=2), "left kidney": mask_of(seed=3)}
TAGS = [
    "DSM.Prompt",
    "DSM.Model",
    "DSM.Score",
    "DSM.Created",
    "DICOM.SegmentAlgorithmType",
    "DICOM.SegmentAlgorithmName",
]
Logic = slicer.vtkSlicerSegmentationsModuleLogic


@pytest.fixture
def saved(host: SceneHost, tmp_path: Path) -> tuple[Path, dict[str, tuple[Any, ...]]]:
    """A folder with `scene.mrb`, `ct.nrrd` and `result.seg.nrrd`, and what was described in them."""
    volume = volume_node(affine_of(obliqueness(33) @ np.diag([-1.0, -1.0, 1.0])))
    writer = SegmentationWriter(volume, volumeFromNode(volume).affine, None)
    for text, mask in MASKS.items():
        writer.write(found(text, mask), Provenance("dsm-small", "cd" * 32, "0.1.0", "cpu"))
    writer.finish()
    node = writer.segmentationNode
    node.SetName("Result")
    host.saveNode(volume, tmp_path / "ct.nrrd")
    host.saveNode(node, tmp_path / "result.seg.nrrd")
    host.saveScene(tmp_path / "scene.mrb")
    return tmp_path, described(node)


def described(node: Any) -> dict[str, tuple[Any, ...]]:
    segmentation = node.GetSegmentation()
    rows = {}
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        tags = [tag_of(segment, name) for name in TAGS]
        color = tuple(round(255 * channel) for channel in segment.GetColor())
        rows[segment_id] = (segment.GetName(), color, segment.GetTerminology(), Logic.GetSegmentStatus(segment), *tags)
    return rows


def assert_masks(node: Any, volume: Any) -> None:
    for segment_id, mask in zip(("DSM_liver", "DSM_liver_tumor", "DSM_left_kidney"), MASKS.values(), strict=True):
        np.testing.assert_array_equal(mask_in(node, segment_id, volume), mask)


def test_scene_file_brings_everything_back(host: SceneHost, saved: tuple[Path, dict[str, tuple[Any, ...]]]) -> None:
    folder, before = saved
    host.loadScene(folder / "scene.mrb")
    node, volume = slicer.util.getNode("Result"), slicer.util.getNode("CT")
    assert described(node) == before
    assert_masks(node, volume)


def test_segmentation_file_brings_everything_back(
    host: SceneHost, saved: tuple[Path, dict[str, tuple[Any, ...]]]
) -> None:
    folder, before = saved
    host.scene.Clear(True)
    volume = host.loadVolume(folder / "ct.nrrd")
    node = host.loadSegmentation(folder / "result.seg.nrrd")
    assert described(node) == before
    assert_masks(node, volume)


def test_other_programs_read_names_colors_and_masks(saved: tuple[Path, dict[str, tuple[Any, ...]]]) -> None:
    slicerio = pytest.importorskip("slicerio")
    folder, before = saved
    segmentation = slicerio.read_segmentation(str(folder / "result.seg.nrrd"))
    assert slicerio.segment_names(segmentation) == list(MASKS)
    for segment, row in zip(segmentation["segments"], before.values(), strict=True):
        assert [round(255 * channel) for channel in segment["color"]] == list(row[1])
        assert segment["tags"]["DSM.Prompt"] == row[0]


class TestFilesOfTheCommandLine:
    """The panel shows files of `dsm` as they were written."""

    @pytest.fixture
    def scan(self, tmp_path: Path) -> Path:
        path = tmp_path / "scan.nrrd"
        image = SimpleITK.GetImageFromArray(np.random.default_rng(0).integers(-200, 200, (20, 24, 28)).astype(np.int16))
        image.SetSpacing((1.2, 1.2, 2.5))
        SimpleITK.WriteImage(image, str(path))
        return path

    def test_of_dsm_segment(
        self, host: SceneHost, scan: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dsm.inference.scan._LEAST_CONFIDENCE", 0.0)  # random weights are sure of nothing
        out, report = tmp_path / "out.seg.nrrd", tmp_path / "report.json"
        arguments = ["segment", scan, "-p", "liver; left kidney", "--model", tiny_model, "-o", out, "--report", report]
        assert main([str(word) for word in (*arguments, "--threshold", "0.1")]) == 0
        found = [row for row in json.loads(report.read_text())["prompts"] if row["found"]]
        assert found, "the tiny model found nothing: the test is void"
        node = host.loadSegmentation(out)
        rows = resultRows(node, [])
        for row, expected in zip(rows, found, strict=True):
            assert row.status is OutcomeStatus.WRITTEN
            assert (row.name, row.prompt.text) == (expected["name"], expected["prompt"])
            assert row.volumeMl == pytest.approx(expected["volume_ml"], abs=1e-3)
            assert row.volumeMl == pytest.approx(segmentVolumeMl(node, row.segmentId), abs=1e-3)
            assert (row.score, expected["score"]) == (None, None)  # the model has no calibration
            facts = factsOf(node.GetSegmentation().GetSegment(row.segmentId))
            assert facts is not None
            assert facts.threshold == 0.1
            assert facts.provenance.model == "dsm-tiny"
            assert len(facts.provenance.model_sha256) == 64

    @pytest.mark.xdist_group("slicer_worker")
    def test_of_dsm_batch(self, host: SceneHost, dsm_tiny: Path, tmp_path: Path) -> None:
        (tmp_path / "scans").mkdir()
        host.saveNode(body_node(), tmp_path / "scans" / "scan.nrrd")
        host.scene.Clear(True)
        arguments = ["batch", tmp_path / "scans", "-p", "liver; spleen", "--model", dsm_tiny, "--out", tmp_path / "out"]
        assert main([str(word) for word in arguments]) == 0
        (file,) = (tmp_path / "out").rglob("*.seg.nrrd")
        with (tmp_path / "out" / "segments.csv").open(encoding="utf-8-sig", newline="") as table:
            expected = {row["name"]: row for row in csv.DictReader(table) if row["found"] == "True"}
        assert expected, "the tiny model found nothing: the test is void"
        rows = {row.name: row for row in resultRows(host.loadSegmentation(file), [])}
        assert set(rows) == set(expected)
        for name, row in rows.items():
            assert row.status is OutcomeStatus.WRITTEN
            assert row.volumeMl == pytest.approx(float(expected[name]["volume_ml"]), abs=1e-3)
            assert (row.score, expected[name]["score"]) == (None, "")  # the model has no calibration

    def test_of_before_volumes_were_written(self, host: SceneHost, saved: Any) -> None:
        folder, _described = saved
        host.scene.Clear(True)
        node = host.loadSegmentation(folder / "result.seg.nrrd")
        node.GetSegmentation().GetSegment("DSM_liver").RemoveTag("DSM.VolumeMl")
        row = next(row for row in resultRows(node, []) if row.segmentId == "DSM_liver")
        assert row.volumeMl == pytest.approx(np.count_nonzero(MASKS["liver"]) * np.prod(SPACING_MM) / 1000, abs=1e-3)


@pytest.mark.parametrize("name", ["result.seg.nrrd", "scene.mrb"])
def test_dsm_reads_back_what_the_panel_saved(saved: tuple[Path, dict[str, tuple[Any, ...]]], name: str) -> None:
    folder, before = saved
    records = read_segments(folder / name)
    assert [record.name for record in records] == list(MASKS)
    for record, row, mask in zip(records, before.values(), MASKS.values(), strict=True):
        assert record.color == row[1]
        assert record.terminology_tag == row[2]
        assert [record.tags[tag] for tag in TAGS] == list(row[4:])
        facts = from_tags(record.tags)
        assert facts is not None
        assert facts.volume_ml == pytest.approx(np.count_nonzero(mask) * np.prod(SPACING_MM) / 1000, abs=1e-4)
        assert facts.provenance == Provenance("dsm-small", "cd" * 32, "0.1.0", "cpu")
        np.testing.assert_array_equal(record.mask.paste_into(mask.shape), mask)


def test_a_scan_is_no_segmentation(saved: Any) -> None:
    with pytest.raises(ImageError, match="holds no segmentation"):
        read_segments(saved[0] / "ct.nrrd")
