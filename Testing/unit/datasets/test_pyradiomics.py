import numpy as np

from dsm.io.image import read_volume


def test_modality_and_label_name_of_each_scan(files, read, tmp_path):
    for name in ("lung1", "lung2", "brain1", "brain2"):
        files.write(tmp_path / "pyradiomics-3.0.1/data" / f"{name}_image.nrrd", files.ct())
        files.write(tmp_path / "pyradiomics-3.0.1/data" / f"{name}_label.nrrd", files.labels(1).astype(np.int32))
    _, entries = read("pyradiomics", tmp_path / "pyradiomics-3.0.1")
    assert {entry.case_id: (entry.modality, entry.targets) for entry in entries} == {
        "lung1": ("CT", {"lung tumor": (1,)}),
        "lung2": ("CT", {"lung tumor": (1,)}),
        "brain1": ("MR", {"brain tumor": (2,)}),
        "brain2": ("MR", {"brain tumor": (2,)}),
    }
    assert (read_volume(entries[3].label).array == 2).sum() == 10
