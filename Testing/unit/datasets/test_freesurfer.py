import nibabel as nib
import numpy as np
import pytest

from dsm.datasets.import_set import import_set
from dsm.errors import ImageError
from dsm.io.image import read_volume
from dsm.io.manifest import read_manifest

AFFINE = np.array([[-1.0, 0, 0, 4], [0, 0, 1, -4], [0, -1, 0, 4], [0, 0, 0, 1]])  # as FreeSurfer conforms scans


def subject(folder, labels, *, image="T1.mgz"):
    """A subject of 8 x 8 x 8 mm; `labels` are the numbers along the first axis, from right to left."""
    (folder / "mri").mkdir(parents=True)
    scan = np.arange(512, dtype=np.uint8).reshape(8, 8, 8)
    nib.save(nib.MGHImage(scan, AFFINE), folder / "mri" / image)
    label = np.zeros((8, 8, 8), dtype=np.int32)
    label[: len(labels), 2, 2] = labels
    nib.save(nib.MGHImage(label, AFFINE), folder / "mri" / "aseg.mgz")


def test_subjects_with_their_parts_and_wholes(read, tmp_path):
    subject(tmp_path / "subjects" / "anna", [49, 43, 44, 63, 14, 10, 252, 78], image="brain.mgz")
    subject(tmp_path / "subjects" / "bert", [17, 16])
    (tmp_path / "subjects" / "fsaverage").mkdir()
    manifest, entries = read("freesurfer", tmp_path / "subjects")
    assert [entry.case_id for entry in entries] == ["anna", "bert"]
    present = manifest["cases"][0]["present"]
    assert present["right lateral ventricle"] == 3
    assert present["brain ventricles"] == 4
    assert present["white matter"] == 2  # corpus callosum and a lesion
    assert present["brain"] == 8
    assert {"left thalamus", "right thalamus"} <= present.keys()
    assert "cerebellum" not in manifest["annotated"]  # in nobody


def test_image_and_labels_share_the_grid(read, tmp_path):
    subject(tmp_path / "bert", [49, 0, 0, 0, 14, 0, 0, 10])
    _, (entry,) = read("freesurfer", tmp_path / "bert")
    scan, label = read_volume(entry.image, modality="MR"), read_volume(entry.label, modality="MR")
    np.testing.assert_allclose(scan.affine, label.affine)
    middle = {
        name: float((label.affine @ [*np.argwhere(np.isin(label.array, entry.targets[name]))[0], 1])[0])
        for name in ("left thalamus", "third ventricle", "right thalamus")
    }
    assert middle["left thalamus"] < middle["third ventricle"] < middle["right thalamus"]


@pytest.mark.parametrize("labels", [[1035], [29]])
def test_label_that_is_no_volume(tmp_path, labels):
    subject(tmp_path / "bert", labels)
    with pytest.raises(ImageError, match=str(labels[0])):
        import_set("freesurfer", tmp_path / "bert", tmp_path / "out")


def test_folder_without_subjects(tmp_path):
    with pytest.raises(ImageError, match="FreeSurfer"):
        import_set("freesurfer", tmp_path, tmp_path / "out")


def test_all_cases_are_for_validation(tmp_path):
    subject(tmp_path / "bert", [49, 10])
    import_set("freesurfer", tmp_path / "bert", tmp_path / "out", split="validation")
    (entry,) = read_manifest(tmp_path / "out")
    assert entry.validation
