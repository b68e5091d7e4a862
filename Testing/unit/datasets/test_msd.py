import json

import numpy as np
import pytest

from dsm.errors import ImageError
from dsm.io.image import read_volume


def task(files, folder, names, *, modality=None, image=None):
    """A task of two cases; each label has ten voxels in the first, the first label only in the second."""
    modality = modality or {"0": "CT"}
    training = []
    for number in range(2):
        entry = {"image": f"./imagesTr/x_{number}.nii.gz", "label": f"./labelsTr/x_{number}.nii.gz"}
        files.write(folder / entry["image"], files.ct(number) if image is None else image)
        files.write(folder / entry["label"], files.labels(*range(1, 2 if number else len(names) + 1)))
        training.append(entry)
    content = {
        "name": "X Y",
        "modality": modality,
        "labels": {"0": "background"} | {str(n): name for n, name in enumerate(names, start=1)},
        "training": training,
        "test": ["./imagesTs/x_9.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("names", "targets"),
    [
        (["edema", "non-enhancing tumor", "enhancing tumour"], {"peritumoral edema": (1,), "brain tumor": (2, 3)}),
        (["left atrium"], {"left atrium": (1,)}),
        (["liver", "cancer"], {"liver": (1, 2), "liver tumor": (2,)}),
        (["Anterior", "Posterior"], {"anterior hippocampus": (1,), "posterior hippocampus": (2,)}),
        (["PZ", "TZ"], {"prostate": (1, 2)}),
        (["cancer"], {"lung tumor": (1,)}),
        (["pancreas", "cancer"], {"pancreas": (1, 2), "pancreatic tumor": (2,)}),
        (["Vessel", "Tumour"], {"hepatic vessel": (1,), "liver tumor": (2,)}),
        (["spleen"], {"spleen": (1,)}),
        (["colon cancer primaries"], {"colon tumor": (1,)}),
        (["Liver", "Tumour"], {"liver": (1, 2), "liver tumor": (2,)}),
        (["pancreas", "lesion", "cyst"], {"pancreas": (1, 2, 3), "pancreatic tumor": (2,), "pancreatic cyst": (3,)}),
        (
            ["left kidney", "right kidney", "kidney tumor"],
            {"left kidney": (1,), "right kidney": (2,), "kidney tumor": (3,)},
        ),
        (["Left Kidney", "gall bladder"], {"left kidney": (1,), "gallbladder": (2,)}),  # a set of somebody's own
    ],
)
def test_names_of_the_tasks(files, read, tmp_path, names, targets):
    manifest, entries = read("msd", task(files, tmp_path / "Task99_X", names))
    assert manifest["name"] == "msd_x_y"
    assert entries[0].targets == entries[1].targets == targets  # all are known in every case
    assert entries[0].modality == "CT"


def test_present_counts_voxels_of_unions(files, read, tmp_path):
    manifest, _ = read("msd", task(files, tmp_path / "Task03_Liver", ["liver", "cancer"]))
    assert [case["present"] for case in manifest["cases"]] == [{"liver": 20, "liver tumor": 10}, {"liver": 10}]
    assert manifest["cases"][0]["spacing_mm"] == [2, 2, 3]


def test_first_sequence_of_a_4d_image(files, read, tmp_path):
    image = np.stack([files.ct(1), files.ct(2)], axis=3)
    modality = {"0": "T2", "1": "ADC"}
    _, entries = read("msd", task(files, tmp_path / "Task05", ["PZ", "TZ"], modality=modality, image=image))
    assert entries[0].modality == "MR"
    volume, label = read_volume(entries[0].image), read_volume(entries[0].label)
    assert (volume.array == files.ct(1)).all()
    np.testing.assert_allclose(volume.affine, label.affine)


@pytest.mark.parametrize("name", ["zorgon", "kidney"])
def test_ambiguous_name(files, read, tmp_path, name):
    with pytest.raises(ImageError, match=name):
        read("msd", task(files, tmp_path / "Task99", [name]))


def test_folder_above_the_task(files, read, tmp_path):
    task(files, tmp_path / "download/Task09_Spleen", ["spleen"])
    _, entries = read("msd", tmp_path / "download")
    assert len(entries) == 2


def test_label_missing_from_the_description(files, read, tmp_path):
    folder = task(files, tmp_path / "Task09", ["spleen"])
    files.write(folder / "labelsTr/x_1.nii.gz", files.labels(1, 7))
    with pytest.raises(ImageError, match="x_1 has the label 7"):
        read("msd", folder)
    assert not (tmp_path / "imported/dataset.json").exists()


def test_missing_image(files, read, tmp_path):
    folder = task(files, tmp_path / "Task09", ["spleen"])
    (folder / "imagesTr/x_1.nii.gz").unlink()
    with pytest.raises(ImageError, match="x_1"):
        read("msd", folder)


@pytest.mark.parametrize("content", [None, "{}", "not json", '{"training": [], "labels": [], "modality": {}}'])
def test_not_a_task(read, tmp_path, content):
    folder = tmp_path / "Task09"
    folder.mkdir()
    if content is not None:
        (folder / "dataset.json").write_text(content)
    with pytest.raises(ImageError, match="not a Decathlon folder"):
        read("msd", folder)
