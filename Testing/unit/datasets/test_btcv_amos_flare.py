import pytest

from dsm.errors import ImageError


@pytest.mark.parametrize("place", ["Abdomen/RawData/Training", "RawData/Training", "Training", "."])
def test_btcv(files, read, tmp_path, place):
    folder = tmp_path / "btcv"
    for number in ("0001", "0035"):
        files.write(folder / place / "img" / f"img{number}.nii.gz", files.ct())
        files.write(folder / place / "label" / f"label{number}.nii.gz", files.labels(1, 6, 13))
    (folder / place / "label" / "._label0001.nii.gz").write_bytes(b"of macOS")
    manifest, entries = read("btcv", folder)
    assert [entry.case_id for entry in entries] == ["btcv_0001", "btcv_0035"]
    assert entries[0].image.name == "img0001.nii.gz"
    assert entries[0].targets == {"spleen": (1,), "liver": (6,), "left adrenal gland": (13,)}
    assert manifest["cases"][1]["present"] == {"spleen": 10, "liver": 10, "left adrenal gland": 10}


def test_btcv_with_folders_images_tr_and_labels_tr(files, read, tmp_path):
    files.write(tmp_path / "btcv/imagesTr/img0001.nii.gz", files.ct())
    files.write(tmp_path / "btcv/labelsTr/label0001.nii.gz", files.labels(8))
    _, (entry,) = read("btcv", tmp_path / "btcv")
    assert entry.targets == {"aorta": (8,)}


def test_amos(files, read, tmp_path):
    folder = tmp_path / "amos/amos22"
    for part, number in (("Tr", "0001"), ("Tr", "0507"), ("Va", "0008")):
        files.write(folder / f"images{part}" / f"amos_{number}.nii.gz", files.ct())
        files.write(folder / f"labels{part}" / f"amos_{number}.nii.gz", files.labels(5, 9, 14, 15))
    manifest, entries = read("amos", tmp_path / "amos")
    assert {entry.case_id: entry.modality for entry in entries} == {
        "amos_0001": "CT",
        "amos_0507": "MR",
        "amos_0008": "CT",
    }
    # Prostate or uterus is nobody's name.
    assert entries[0].targets == {"esophagus": (5,), "inferior vena cava": (9,), "urinary bladder": (14,)}
    assert manifest["labels"]["15"] == "prostate or uterus"


def test_flare_22(files, read, tmp_path):
    folder = tmp_path / "flare"
    for number in ("0001", "0002"):
        files.write(folder / "images" / f"FLARE22_Tr_{number}_0000.nii.gz", files.ct())
        files.write(folder / "labels" / f"FLARE22_Tr_{number}.nii.gz", files.labels(1, 13))
    manifest, entries = read("flare", folder)
    assert manifest["complete"]
    assert entries[1].case_id == "FLARE22_Tr_0002"
    assert entries[0].targets == {"liver": (1,), "left kidney": (13,)}


def test_flare_23_with_partial_labels(files, read, tmp_path):
    folder = tmp_path / "flare23"
    for number, ids in (("0001", (1, 14)), ("0002", (4,))):
        files.write(folder / "imagesTr2200" / f"FLARE23_{number}_0000.nii.gz", files.ct())
        files.write(folder / "labelsTr2200" / f"FLARE23_{number}.nii.gz", files.labels(*ids))
    _, entries = read("flare", tmp_path)  # one folder above
    assert entries[0].targets == {"liver": (1,), "tumor": (14,)}
    assert entries[1].targets == {"pancreas": (4,)}


@pytest.mark.parametrize("layout", ["btcv", "amos", "flare", "kits", "totalsegmentator", "pyradiomics"])
def test_other_folders_are_refused(read, tmp_path, layout):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(ImageError, match="is not a"):
            read(layout, folder)
