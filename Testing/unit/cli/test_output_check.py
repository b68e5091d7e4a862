import shutil
from types import SimpleNamespace

import pytest

from dsm.cli.output_check import check_output, check_output_folder, check_space, require_package
from dsm.errors import MissingDependencyError, OutputError


def test_good_output_leaves_nothing(tmp_path, listing):
    check_output(tmp_path / "out.json", suffixes=(".json",), num_bytes=1000)
    assert listing() == []


def test_old_file_is_not_touched(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    check_output(path, suffixes=(".json",))
    assert path.read_text() == "old"


def test_device_is_refused_and_stays(tmp_path):
    (tmp_path / "out.json").symlink_to("/dev/null")
    with pytest.raises(OutputError, match="device"):
        check_output(tmp_path / "out.json", suffixes=(".json",))


def test_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000))
    with pytest.raises(OutputError, match="may take 7 MB; 5 MB are free") as caught:
        check_space(tmp_path / "out.json", 7_000_000)
    assert caught.value.code == "disk_full"
    check_space(tmp_path / "out.json", 3_000_000)


@pytest.mark.parametrize("exists", [True, False])
def test_good_folder_leaves_nothing(tmp_path, exists, listing):
    if exists:
        (tmp_path / "maps").mkdir()
    check_output_folder(tmp_path / "maps")
    assert listing() == (["maps"] if exists else [])


def test_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "maps").touch()
    with pytest.raises(OutputError, match="is a file"):
        check_output_folder(tmp_path / "maps")


def test_missing_package_names_the_extra():
    with pytest.raises(MissingDependencyError) as caught:
        require_package("no_such_package_at_all", extra="train")
    assert "dsmsegment[train]" in caught.value.hint
    require_package("json", extra="train")
