from pathlib import Path

import numpy as np

from dsm.datasets.totalsegmentator import find_totalsegmentator
from dsm.io.image import read_volume
from dsm.text.vocabulary import load_vocabulary

CLASSES = (
    "kidney_left",
    "kidney_cyst_left",
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "rib_left_1",
    "rib_right_1",
)


def subject(files, folder, image="ct.nii.gz", classes=CLASSES):
    files.write(folder / image, files.ct())
    for number, name in enumerate(classes):
        files.write(folder / "segmentations" / f"{name}.nii.gz", files.labels(*([0] * number), 1))


def test_masks_are_merged(files, read, tmp_path):
    folder = tmp_path / "ts"
    subject(files, folder / "s0000")
    subject(files, folder / "s0001", image="mri.nii.gz")
    (folder / "meta.csv").write_text("image_id;age\n")
    manifest, entries = read("totalsegmentator", folder)
    assert [(entry.case_id, entry.modality) for entry in entries] == [("s0000", "CT"), ("s0001", "MR")]
    label = read_volume(entries[0].label).array
    for name, rows in (
        ("left kidney", [0, 1]),
        ("left kidney cyst", [1]),
        ("left lung", [2, 3]),
        ("left lung lower lobe", [3]),
        ("ribs", [4, 5]),
        ("right rib 1", [5]),
    ):
        mask = np.isin(label, entries[0].targets[name])
        assert sorted(set(mask.nonzero()[0])) == rows, name
        assert manifest["cases"][0]["present"][name] == 10 * len(rows)


def test_all_classes_of_version_2_are_known(files, tmp_path):
    names = Path(__file__).with_name("totalsegmentator_v2_classes.txt").read_text().split()
    assert len(names) == 117
    for name in names:
        files.write(tmp_path / "s0000/segmentations" / f"{name}.nii.gz", np.zeros((2, 2, 2), np.uint8))
    files.write(tmp_path / "s0000/ct.nii.gz", np.zeros((2, 2, 2), np.int16))
    found = find_totalsegmentator(tmp_path)
    assert len(set(found.labels.values())) == 117  # no two classes have one name
    assert all(load_vocabulary().get(name) for name in found.labels.values())
    assert {"left lung", "right lung", "ribs"} <= set(found.annotated)
    for label_id, name in found.labels.items():
        old = names[label_id - 1]
        for side in ("left", "right"):
            assert (side in name.split()) == (side in old.split("_")), (old, name)


def test_unknown_class_is_kept_but_not_annotated(files, read, tmp_path):
    subject(files, tmp_path / "ts/dataset_v2/s0000", classes=("liver", "zorgon"))
    manifest, (entry,) = read("totalsegmentator", tmp_path / "ts")
    assert entry.targets == {"liver": (1,)}
    assert manifest["labels"] == {"1": "liver", "2": "zorgon"}
