import pytest

from dsm.cli.data import LAYOUTS as CLI_LAYOUTS
from dsm.datasets import amos, btcv, flare, pyradiomics
from dsm.datasets.import_set import LAYOUTS, import_set
from dsm.errors import OutputError
from dsm.text.vocabulary import load_vocabulary


def test_command_line_offers_all_layouts():
    assert tuple(LAYOUTS) == CLI_LAYOUTS


@pytest.mark.parametrize("module", [amos, btcv, flare, pyradiomics])
def test_names_are_those_of_the_vocabulary(module):
    names = set(module._LABELS.values()) | set(getattr(module, "_TUMOR", {}).values())
    assert {name for name in names if load_vocabulary().get(name) is None} <= {"prostate or uterus"}


def test_manifest_in_another_folder_uses_relative_paths(files, tmp_path):
    files.write(tmp_path / "a/data/img/img0001.nii.gz", files.ct())
    files.write(tmp_path / "a/data/label/label0001.nii.gz", files.labels(1))
    manifest = import_set("btcv", tmp_path / "a/data", tmp_path / "a/manifests/btcv")
    assert manifest["cases"][0]["image"] == "../../data/img/img0001.nii.gz"


def test_folder_that_cannot_be_created(files, tmp_path):
    files.write(tmp_path / "img/img0001.nii.gz", files.ct())
    files.write(tmp_path / "label/label0001.nii.gz", files.labels(1))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        import_set("btcv", tmp_path, tmp_path / "file" / "out")
