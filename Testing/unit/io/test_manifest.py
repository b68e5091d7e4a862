"""Data sets with annotated names and split per case."""

import json

import pytest

from dsm.errors import ImageError
from dsm.io.manifest import read_manifest


@pytest.fixture
def write(tmp_path):
    def make(*cases, **values):
        manifest = {
            "name": "parts",
            "labels": {"1": "liver", "2": "liver tumor", "3": "heart"},
            "annotated": ["liver", "liver tumor", "heart"],
            "union": {"liver": ["liver", "liver tumor"]},
            "cases": [
                {"id": f"c{n}", "image": "i.nii.gz", "label": "l.nii.gz", "modality": "MR T1", "present": {}, **case}
                for n, case in enumerate(cases)
            ],
            **values,
        }
        (tmp_path / "dataset.json").write_text(json.dumps(manifest))
        return tmp_path

    return make


def test_split_of_a_case_overrides_the_default_split(write):
    cases = [{"split": "training"}] * 5 + [{"split": "validation"}]
    assert [case.validation for case in read_manifest(write(*cases))] == [False] * 5 + [True]
    assert [case.validation for case in read_manifest(write(*[{}] * 5))] == [False] * 4 + [True]


def test_unknown_split_is_an_error(write):
    with pytest.raises(ImageError, match="held out"):
        read_manifest(write({"split": "held out"}))


def test_annotated_and_present_names_of_a_case(write):
    cases = (
        {"annotated": ["heart", "liver"], "present": {"heart": 9}},  # no liver in sight
        {"present": {"liver tumor": 3}},
        {"annotated": ["lung", "heart", "heart"]},  # a name that the set does not annotate
    )
    found = [case.targets for case in read_manifest(write(*cases, complete=False))]
    assert found == [{"liver": (1, 2), "heart": (3,)}, {"liver tumor": (2,)}, {"heart": (3,)}]


def test_case_without_an_image_is_skipped(write):
    folder = write({}, {})
    manifest = json.loads((folder / "dataset.json").read_text())
    del manifest["cases"][0]["image"]
    (folder / "dataset.json").write_text(json.dumps(manifest))
    assert [case.case_id for case in read_manifest(folder)] == ["c1"]
