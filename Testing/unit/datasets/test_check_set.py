import json

import numpy as np
import pytest

from dsm.datasets.check_set import check_sets


@pytest.fixture
def make(files, tmp_path):
    """Return a function that writes a data set of two cases."""

    def make(name, *, seeds=(0, 1), names=("liver",), **changes):
        folder = tmp_path / name
        cases = []
        for number, seed in enumerate(seeds):
            files.write(folder / f"{number}_img.nii.gz", smooth(files.shape, seed))
            files.write(folder / f"{number}_seg.nii.gz", files.labels(*range(1, len(names) + 1)))
            case = {"id": f"c{number}", "image": f"{number}_img.nii.gz", "label": f"{number}_seg.nii.gz"}
            cases.append(case | {"modality": "CT", "present": {}})
        labels = {str(n): label for n, label in enumerate(names, start=1)}
        manifest = {"name": name, "labels": labels, "annotated": list(names), "cases": cases} | changes
        (folder / "dataset.json").write_text(json.dumps(manifest))
        return folder

    return make


def smooth(shape, seed):
    """An image that is unlike every other seed's, and smooth, as bodies are."""
    phases = np.random.default_rng(seed).uniform(0, 6, size=(3, 3))
    grid = np.indices(shape)
    waves = [np.sin(grid[axis] * (0.3 + 0.2 * n) + phases[axis, n]) for axis in range(3) for n in range(3)]
    return (60 * sum(waves)).astype(np.int16)


def problems(*folders):
    return [str(problem) for problem in check_sets(folders)]


def test_valid_sets_have_no_problems(make):
    assert problems(make("a"), make("b", seeds=(2, 3))) == []


def test_files(make, files):
    folder = make("a")
    (folder / "1_img.nii.gz").unlink()
    files.write(folder / "0_seg.nii.gz", np.zeros((12, 10, 9), np.uint8))
    found = problems(folder)
    assert found[0] == "a/c0: the image has 12×10×8 voxels, its label 12×10×9."
    assert "a/c1" in found[1]
    assert "does not exist" in found[1]
    assert len(found) == 2


def test_geometry(make, files):
    folder = make("a")
    files.write(folder / "0_seg.nii.gz", files.labels(1), origin=(0, 0, 0.05))
    files.write(folder / "1_seg.nii.gz", files.labels(1), spacing=(2, 2, 3.5))
    # The last slice is 7 spacings from the first.
    assert problems(folder) == ["a/c1: image and label lie up to 3.5 mm apart."]


def test_label_ids(make, files):
    folder = make("a")
    files.write(folder / "1_seg.nii.gz", files.labels(1, 9))
    assert problems(folder) == ["a/c1: the label map has ids that the manifest does not name: 9."]


def test_names(make):
    found = problems(make("a", names=("hepar", "kidney", "zorgon", "spleen")))
    assert found == [
        "a: 'hepar' is called 'liver' in the vocabulary.",
        "a: 'kidney' means left kidney and right kidney.",
        "a: 'zorgon' is not in the vocabulary.",
    ]


def test_ids_of_cases(make):
    folder = make("a")
    manifest = json.loads((folder / "dataset.json").read_text())
    manifest["cases"][1]["id"] = "c0"
    (folder / "dataset.json").write_text(json.dumps(manifest))
    assert problems(folder) == ["a: the id 'c0' is used 2 times."]


def test_a_scan_in_two_sets(make, files):
    first, second = make("a"), make("b", seeds=(5, 1))
    assert problems(first, second) == ["b/c1: is the same scan as a/c1."]
    # The same with coarser grey values.
    files.write(second / "1_img.nii.gz", (smooth(files.shape, 1) // 16 * 16).astype(np.int16))
    (found,) = problems(first, second)
    assert found.startswith("b/c1: looks like a/c1")


def test_ct_not_in_hounsfield_units(make, files):
    folder = make("a")
    files.write(folder / "0_img.nii.gz", smooth(files.shape, 0) + 1024)
    assert problems(folder) == ["a/c0: a CT without negative values is not in HU."]


def test_no_name_is_annotated(make):
    found = problems(make("a", complete=False))
    assert found == ["a/c0: no name is annotated.", "a/c1: no name is annotated."]
