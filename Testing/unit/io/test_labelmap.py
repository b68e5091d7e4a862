from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.errors import OutputError
from dsm.io import labelmap
from dsm.io.image import read_volume
from dsm.io.segmentation import SegmentRecord, labels_path, write_labelmap

VOLUME = Volume(np.zeros((8, 9, 10), dtype=np.int16), np.diag([-0.5, -0.6, 2.0, 1.0]))


def block(name: str, offset: tuple[int, int, int], edge: int) -> SegmentRecord:
    mask = CroppedArray(np.ones((edge, edge, edge), dtype=np.uint8), offset)
    return SegmentRecord(name, mask, (1, 2, 3), "a~b", {"DSMSegment.Prompt": name})


def test_values_and_their_names_are_written(tmp_path: Path) -> None:
    path = tmp_path / "out.nii.gz"
    json_path = write_labelmap(path, [block("肝", (1, 1, 1), 2), block("b", (5, 5, 5), 1)], VOLUME)
    labels = read_volume(path)
    assert labels.array.dtype == np.uint8
    expected = np.zeros(VOLUME.shape)
    expected[1:3, 1:3, 1:3] = 1
    expected[5, 5, 5] = 2
    np.testing.assert_array_equal(labels.array, expected)
    np.testing.assert_allclose(labels.affine, VOLUME.affine, atol=1e-5)
    assert json_path == labels_path(path) == tmp_path / "out.json"
    described = json.loads(json_path.read_text("utf-8"))
    assert described["labelmap"] == "out.nii.gz"
    assert described["labels"][0] == {
        "value": 1,
        "name": "肝",
        "color": [1, 2, 3],
        "terminology": "a~b",
        "tags": {"DSMSegment.Prompt": "肝"},
        "voxels": 8,
        "hidden_voxels": 0,
    }


def test_last_segment_wins_on_overlap_and_json_reports_it(tmp_path: Path) -> None:
    json_path = write_labelmap(
        tmp_path / "out.nii.gz", [block("liver", (1, 1, 1), 3), block("tumor", (2, 2, 2), 3)], VOLUME
    )
    array = read_volume(tmp_path / "out.nii.gz").array
    assert array[1, 1, 1] == 1
    assert array[2, 2, 2] == 2
    described = json.loads(json_path.read_text("utf-8"))
    assert "last" in described["overlap"]
    assert [(label["voxels"], label["hidden_voxels"]) for label in described["labels"]] == [(27, 8), (27, 0)]


def test_more_than_255_labels_use_uint16(tmp_path: Path) -> None:
    write_labelmap(tmp_path / "out.nii.gz", [block("a", (0, 0, 0), 1)] * 256, VOLUME)
    array = read_volume(tmp_path / "out.nii.gz").array
    assert array.dtype == np.uint16
    assert array[0, 0, 0] == 256


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        write_labelmap(tmp_path / "out.png", [], VOLUME)
    assert caught.value.code == "output.format"


def test_neither_file_is_left_when_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(labelmap, "write_nifti", fail)
    with pytest.raises(KeyboardInterrupt):
        write_labelmap(tmp_path / "out.nii.gz", [block("a", (0, 0, 0), 1)], VOLUME)
    assert not list(tmp_path.iterdir())
