import numpy as np
import pytest

from dsm.core.volume import Volume
from dsm.datasets.kidney_sides import is_left_of_body
from dsm.io.image import read_volume

# NIfTI written by SimpleITK with the identity: index i runs to the left of the patient.
SHAPE = (40, 20, 16)


def body():
    image = np.full(SHAPE, -1000, np.int16)
    image[4:30, 2:18] = 20  # not in the middle of the image: its middle is voxel 16.5
    return image


def patient(files, folder, *, name="segmentation.nii.gz", cyst=False):
    label = np.zeros(SHAPE, np.uint8)
    label[7:10, 5:9, 4:12] = 1  # small i is the right
    label[22:26, 5:9, 4:12] = 1
    label[24:27, 5:9, 4:6] = 2
    if cyst:
        label[7, 5:9, 4:12] = 3
    files.write(folder / "imaging.nii.gz", body())
    files.write(folder / name, label)


@pytest.mark.parametrize("name", ["segmentation.nii.gz", "aggregated_MAJ_seg.nii.gz"])
def test_kidneys_are_split_into_left_and_right(files, read, tmp_path, name):
    folder = tmp_path / "kits"
    patient(files, folder / "dataset/case_00000", name=name)
    patient(files, folder / "dataset/case_00001", name=name, cyst=True)
    files.write(folder / "dataset/case_00002/imaging.nii.gz", body())  # of the test set
    manifest, entries = read("kits", folder)
    assert [entry.case_id for entry in entries] == ["kits_00000", "kits_00001"]
    assert set(entries[0].targets) == {"right kidney", "left kidney", "kidney tumor", "kidney cyst"}
    label = read_volume(entries[1].label).array
    right, left, tumor, cyst = (
        np.isin(label, entries[1].targets[name])
        for name in ("right kidney", "left kidney", "kidney tumor", "kidney cyst")
    )
    assert right.sum() == 3 * 4 * 8
    assert set(right.nonzero()[0]) == {7, 8, 9}
    assert set(left.nonzero()[0]) == {22, 23, 24, 25, 26}  # with its tumor
    assert tumor.sum() == 3 * 4 * 2
    assert (left | ~tumor).all()
    assert set(cyst.nonzero()[0]) == {7}
    assert manifest["cases"][0]["present"]["kidney tumor"] == 24


def test_cysts_are_not_annotated_without_a_label(files, read, tmp_path):
    patient(files, tmp_path / "kits/case_00000")
    _, (entry,) = read("kits", tmp_path / "kits")
    assert "kidney cyst" not in entry.targets


@pytest.mark.parametrize("turned", [False, True])
def test_sides_in_any_orientation(turned):
    kidneys = np.zeros(SHAPE, bool)
    kidneys[7:10, 5:9, 4:12] = kidneys[20:28, 5:9, 4:12] = True
    kidneys[18:28, 12:15, 2:4] = True  # a tumor of the left one, reaching over the middle
    affine = np.diag([-1.0, 1, 1, 1])
    image = body()
    left = np.arange(SHAPE[0])[:, None, None] > 15
    if turned:
        order = (2, 0, 1)
        kidneys, image, left = kidneys.transpose(order), image.transpose(order), left.transpose(order)
        affine = affine[:, [2, 0, 1, 3]]
    found = is_left_of_body(kidneys, Volume(np.ascontiguousarray(image), affine))
    assert (found == (kidneys & left)).all()


def test_horseshoe_kidney_is_split_at_the_midline():
    kidneys = np.zeros(SHAPE, bool)
    kidneys[8:26, 5:9, 4:6] = True
    found = is_left_of_body(kidneys, Volume(body(), np.diag([-1.0, 1, 1, 1])))
    assert set(found.nonzero()[0]) == set(range(17, 26))
