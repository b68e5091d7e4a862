"""Uploaded zips and folders of DICOM files."""

from __future__ import annotations

import asyncio
import stat
import struct
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="trame is not installed")
from dsm.errors import ImageError
from DSMSegmentWeb.archive import unpack, unpack_segments
from DSMSegmentWeb.uploads import receive_folder


def packed(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpacked(archive: Path, **limits: int) -> dict[str, bytes]:
    folder = archive.with_name("unpacked")
    folder.mkdir()
    unpack(archive, folder, **limits)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))}


def test_folders_are_flattened(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", **{"s1/IM1": b"one", "s2/IM1": b"two", "DICOMDIR": b"three"})
    assert unpacked(archive) == {"00000": b"one", "00001": b"two", "00002": b"three"}


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "C:\\evil", "a/../../evil"])
def test_path_traversal_is_prevented(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    assert unpacked(packed(folder / "a.zip", **{name: b"x"})) == {"00000": b"x"}
    assert {path.name for path in tmp_path.rglob("*")} == {"deep", "er", "a.zip", "unpacked", "00000"}


def test_symlink_is_extracted_as_a_regular_file(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert unpacked(tmp_path / "a.zip") == {"00000": b"/etc/passwd"}
    assert not (tmp_path / "unpacked" / "00000").is_symlink()


def test_zip_bomb_is_stopped(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", a=bytes(1 << 22), b=bytes(1 << 22))
    assert archive.stat().st_size < 20_000
    with pytest.raises(ImageError, match="more than 1 MiB"):
        unpacked(archive, max_bytes=1 << 20)
    written = sum(path.stat().st_size for path in (tmp_path / "unpacked").iterdir())
    assert written <= 2 << 20, "not more than the limit and one chunk"


def test_zip_bomb_with_a_false_size_is_stopped(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", a=bytes(1 << 24))
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 10)
    archive.write_bytes(content)
    with pytest.raises(ImageError):
        unpacked(archive, max_bytes=1 << 20)
    assert sum(path.stat().st_size for path in (tmp_path / "unpacked").iterdir()) <= 2 << 20


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="3 files"):
        unpacked(packed(tmp_path / "a.zip", a=b"", b=b"", c=b""), max_files=2)


def test_huge_central_directory_is_refused_before_reading(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", a=b"x")
    content = bytearray(archive.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\x05\x06") + 12, 1 << 30)
    archive.write_bytes(content)
    with pytest.raises(ImageError, match="more files than a series has"):
        unpacked(archive)


@pytest.mark.parametrize("content", [b"", b"this is no zip", b"PK\x03\x04 cut off"])
def test_file_that_is_not_a_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.zip is no zip"):
        unpacked(tmp_path / "a.zip")


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", a=b"x" * 100)
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(ImageError, match="encrypted") as refused:
        unpacked(archive)
    assert "without a password" in refused.value.hint


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def files(*contents: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
    for content in contents:
        yield chunks(content)


def test_files_of_a_folder_are_renamed(tmp_path: Path) -> None:
    asyncio.run(receive_folder(files(b"one", b"two"), tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"00000": b"one", "00001": b"two"}


def test_too_large_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="The folder is larger"):
        asyncio.run(receive_folder(files(b"x" * 600, b"x" * 600), tmp_path, max_bytes=1000))
    with pytest.raises(ImageError, match="more than 1 files"):
        asyncio.run(receive_folder(files(b"a", b"b"), tmp_path, max_files=1))


@pytest.mark.parametrize("name", ["CT.seg.nrrd", "results/CT.SEG.NRRD", "../../CT.seg.nrrd"])
def test_segments_of_an_archive_of_results_are_found(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / "a.zip", **{"contents.txt": b"x", name: b"NRRD0004", "CT.nii.gz": b"y"})
    (tmp_path / "out").mkdir()
    assert unpack_segments(archive, tmp_path / "out") == tmp_path / "out" / "segments.seg.nrrd"
    assert (tmp_path / "out" / "segments.seg.nrrd").read_bytes() == b"NRRD0004"
    assert len(list(tmp_path.rglob("*"))) == 3


@pytest.mark.parametrize("files", [{"IM1": b"x"}, {"a.seg.nrrd": b"x", "b.seg.nrrd": b"y"}])
def test_archive_without_one_file_of_segments_has_none(tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "out").mkdir()
    assert unpack_segments(packed(tmp_path / "a.zip", **files), tmp_path / "out") is None
    assert not list((tmp_path / "out").iterdir())


def test_bomb_of_segments_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    archive = packed(tmp_path / "a.zip", **{"a.seg.nrrd": bytes(4 << 20)})
    with pytest.raises(ImageError, match="more than 1 MiB"):
        unpack_segments(archive, tmp_path / "out", max_bytes=1 << 20)
