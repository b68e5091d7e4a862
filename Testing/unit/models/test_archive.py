"""Archives of models: reproducible, and unpacked as untrusted input."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from dsm.errors import ModelNotFoundError, WeightsError
from dsm.models.archive import pack_model, unpack_model
from dsm.models.store import verify_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def archive_of(path: Path, *entries: zipfile.ZipInfo | str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for entry in entries:
            archive.writestr(entry, b"content")
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def test_round_trip_is_the_same_model_and_the_same_bytes(tiny_model: Path, tmp_path: Path, folder: Path) -> None:
    copy = Path(shutil.copytree(tiny_model, tmp_path / "copy" / tiny_model.name))
    (copy / "notes.txt").write_text("not in the manifest")
    first = pack_model(tiny_model, tmp_path / "a.zip")
    assert pack_model(copy, tmp_path / "b.zip") == first
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    inside = unpack_model(tmp_path / "a.zip", folder)
    assert inside == folder / tiny_model.name
    assert verify_model(inside).digest == verify_model(tiny_model).digest


@pytest.mark.parametrize(
    "entry",
    ["../evil.txt", "m/../../evil.txt", "/tmp/evil.txt", "C:/evil.txt", "m\\..\\..\\evil.txt", link("m/weights")],  # noqa: S108
    ids=["up", "up from below", "absolute", "drive", "backslashes", "link"],
)
def test_path_traversal_is_refused_before_writing(entry: zipfile.ZipInfo | str, tmp_path: Path, folder: Path) -> None:
    archive = archive_of(tmp_path / "evil.zip", "m/config.json", entry)
    with pytest.raises(WeightsError, match="leads out of the model's folder") as caught:
        unpack_model(archive, folder)
    assert caught.value.code == "model.unsafe"
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "evil.txt").exists()


def test_oversized_archive_is_refused(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.models.archive._MAX_BYTES", 10)
    archive = archive_of(tmp_path / "bomb.zip", "m/config.json", "m/model.safetensors")
    with pytest.raises(WeightsError, match="more than any model"):
        unpack_model(archive, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04" + bytes(100), b"<html>not found</html>"])
def test_file_that_is_not_an_archive(data: bytes, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(WeightsError, match=r"not a \.zip file"):
        unpack_model(tmp_path / "a.zip", folder)


def test_flipped_bit_is_detected(tiny_model: Path, tmp_path: Path, folder: Path) -> None:
    pack_model(tiny_model, tmp_path / "a.zip")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(WeightsError):
        verify_model(unpack_model(tmp_path / "a.zip", folder))


def test_archive_must_contain_exactly_one_model(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="holds no model"):
        unpack_model(archive_of(tmp_path / "none.zip", "readme.txt"), folder)
    with pytest.raises(WeightsError, match="holds 2 models"):
        unpack_model(archive_of(tmp_path / "two.zip", "a/config.json", "b/config.json"), folder)
