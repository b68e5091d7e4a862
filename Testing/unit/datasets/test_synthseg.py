import json

import numpy as np
import pytest
import SimpleITK as sitk

from dsm.datasets.import_set import import_set
from dsm.errors import ImageError
from dsm.io.image import read_volume
from dsm.io.manifest import read_manifest

FLUID, OTHER, EYE, SKIN, BONE = 24, 507, 506, 511, 515


@pytest.fixture
def checkout(tmp_path):
    """A head of 40 mm in the axis order of the published maps: left, inferior, anterior; 10 voxels of air around it."""
    head = np.zeros((60, 60, 60), dtype=np.float32)  # right, anterior, superior
    head[10:50, 10:50, 10:50] = OTHER
    head[20:40, 20:40, 20:40] = FLUID
    head[22:30, 22:38, 22:38] = 2  # RAS: the left half has the smaller index
    head[30:38, 22:38, 22:38] = 41
    head[24:26, 30:32, 30:32] = 10
    head[34:36, 30:32, 30:32] = 49
    head[29:31, 30:32, 30:32] = 14
    head[24, 26, 26], head[24, 27, 26], head[24, 28, 26] = 4, 5, 136
    head[14, 45, 30] = head[45, 45, 30] = head[46, 45, 30] = EYE
    image = sitk.GetImageFromArray(head.transpose(2, 1, 0))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    image = sitk.DICOMOrient(image, "LIA")
    folder = tmp_path / "SynthSeg/data/training_label_maps"
    folder.mkdir(parents=True)
    sitk.WriteImage(image, str(folder / "training_seg_01.nii.gz"))
    return tmp_path / "SynthSeg"


def test_label_maps_without_images(checkout, tmp_path):
    manifest = import_set("synthseg", checkout, tmp_path / "out")
    assert read_manifest(tmp_path / "out") == []
    (entry,) = read_manifest(tmp_path / "out", labels_alone=True)
    assert not entry.has_image
    assert entry.modality == "MR"
    assert manifest["cases"][0]["present"]["left lateral ventricle"] == 3  # with the temporal horn and the plexus
    assert json.loads((tmp_path / "out/dataset.json").read_text())["cases"][0].keys().isdisjoint({"image"})


def test_sides_numbers_and_air(checkout, tmp_path):
    import_set("synthseg", checkout, tmp_path / "out")
    (entry,) = read_manifest(tmp_path / "out", labels_alone=True)
    volume = read_volume(entry.label)
    label = volume.array
    assert label.shape == (44, 44, 44)  # the head and two voxels of air

    def middle(name):
        index = np.argwhere(np.isin(label, entry.targets[name])).mean(axis=0)
        return volume.affine[:3, :3] @ index + volume.affine[:3, 3]

    assert middle("left thalamus")[0] < middle("third ventricle")[0] < middle("right thalamus")[0]
    assert middle("left eyeball")[0] < middle("brain")[0] < middle("right eyeball")[0]
    assert middle("left eyeball")[1] > middle("brain")[1]  # RAS: in front of it
    assert np.isin(label, entry.targets["right eyeball"]).sum() == 2
    assert entry.names[int(label[2, 2, 2])] == "soft tissue of the head"
    assert label.max() < 250  # above are the pseudo-labels of training


def test_folder_without_label_maps(tmp_path):
    with pytest.raises(ImageError, match="SynthSeg"):
        import_set("synthseg", tmp_path, tmp_path / "out")
