"""Arrays and masks as files: exact, refused when damaged, never outside the folder."""

from __future__ import annotations

import contextlib
import sys
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dsm.errors import DSMError, ImageError, ProtocolError
from dsm.wire.arrays import (
    content_key,
    pack_mask,
    read_array,
    read_mask,
    resolve_in_folder,
    unpack_mask,
    write_array,
    write_mask,
)

EYE = np.eye(4).tolist()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "float16", "bool", ">i2"])
def test_array_round_trip_keeps_memory_order(tmp_path: Path, dtype: str, order: Literal["C", "F"]) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype, order=order)
    write_array(tmp_path, "a.npy", array)
    back = read_array(tmp_path, "a.npy")
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.flags.f_contiguous == (order == "F")
    assert back.flags.writeable
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_strided_view_round_trip(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)[::-1, ::2, 1:]
    write_array(tmp_path, "a.npy", array)
    np.testing.assert_array_equal(read_array(tmp_path, "a.npy"), array)


def test_pickled_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        write_array(tmp_path, "a.npy", np.array([{}], dtype=object))
    np.save(tmp_path / "b.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError) as caught:
        read_array(tmp_path, "b.npy")
    assert caught.value.code == "input.dtype"


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no array file 'a\.npy'"):
        read_array(tmp_path, "a.npy")
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(ImageError):
        read_array(tmp_path, "a.npy")


def test_header_with_a_huge_shape_allocates_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10_000, 10_000, 10_000)}
        )
        file.write(b"few")
    with pytest.raises(ImageError, match="length"):
        read_array(tmp_path, "a.npy")


@pytest.mark.parametrize("shape", ["(-2, -3, 4)", "(2, 3", "((2,), 3)", "(2, 3, 'x')"])
def test_impossible_shapes_are_refused(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '<i2', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header = header.ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(48))
    with pytest.raises(ImageError):
        read_array(tmp_path, "a.npy")


@settings(deadline=None)
@given(st.integers(min_value=0), st.integers(1, 255), st.integers(0, 300))
def test_damaged_file_is_refused_or_read_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int, length: int
) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    write_array(folder, "a.npy", np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    data = bytearray((folder / "a.npy").read_bytes())
    data[place % len(data)] ^= flip
    (folder / "a.npy").write_bytes(data[: len(data) - length % 50])
    with contextlib.suppress(ImageError):
        assert read_array(folder, "a.npy").dtype.kind in "biuf"


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.integers(0, 3)))
def test_mask_round_trip(mask: np.ndarray) -> None:
    for view in (mask, mask.transpose(2, 0, 1), mask[::-1]):
        back = unpack_mask(pack_mask(view), view.shape)
        assert back.dtype == np.uint8
        np.testing.assert_array_equal(back, view != 0)


def test_box_mask_is_compressed_a_hundredfold(tmp_path: Path) -> None:
    mask = np.zeros((64, 64, 64), np.uint8)
    mask[10:50, 12:40, 5:60] = 1
    write_mask(tmp_path, "m.mask", mask)
    assert (tmp_path / "m.mask").stat().st_size < mask.size / 100
    np.testing.assert_array_equal(read_mask(tmp_path, "m.mask", mask.shape), mask)


def test_empty_mask_needs_no_file(tmp_path: Path) -> None:
    assert read_mask(tmp_path, "", (0, 0, 0)).shape == (0, 0, 0)
    assert unpack_mask(pack_mask(np.zeros((0, 3, 4))), (0, 3, 4)).shape == (0, 3, 4)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (pack_mask(np.ones((4, 4, 4))), (4, 4, 5)),
        (pack_mask(np.ones((4, 4, 4))), (4, 4, 3)),
        (pack_mask(np.ones((4, 4, 4))), (-4, -4, 4)),
        (pack_mask(np.ones((4, 4, 4)))[:-1], (4, 4, 4)),
        (pack_mask(np.ones((4, 4, 4))) + b"x", (4, 4, 4)),
        (zlib.compress(bytes(10**8)), (4, 4, 4)),
        (b"", (1, 1, 1)),
        (b"not zlib", (1, 1, 1)),
    ],
)
def test_damaged_mask_is_refused(data: bytes, size: tuple[int, int, int]) -> None:
    with pytest.raises(ProtocolError):
        unpack_mask(data, size)


@given(st.binary(max_size=60), st.tuples(*[st.integers(-2, 9)] * 3))
def test_random_bytes_as_mask_never_crash(data: bytes, size: tuple[int, int, int]) -> None:
    with contextlib.suppress(ProtocolError):
        assert unpack_mask(data, size).shape == size


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "/etc/passwd", "a/b", "a\\b", "C:a", "a:b", ".hidden", "a\n", "a\0", "a b", "é", "x" * 129],
)
def test_paths_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        resolve_in_folder(tmp_path, name)
    assert caught.value.code == "protocol.path"
    for use in (lambda: read_array(tmp_path, name), lambda: write_mask(tmp_path, name, np.ones((1, 1, 1)))):
        with pytest.raises(DSMError):
            use()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_symlinks_outside_the_folder_are_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "outside.npy"
    inside.mkdir()
    outside.write_bytes(b"precious")
    (inside / "a.npy").symlink_to(outside)
    (inside / ".b.npy.part").symlink_to(outside)
    with pytest.raises(ProtocolError):
        read_array(inside, "a.npy")
    with pytest.raises(ProtocolError):
        write_array(inside, "a.npy", np.ones(3))
    write_array(inside, "b.npy", np.ones(3))
    assert outside.read_bytes() == b"precious"
    np.testing.assert_array_equal(read_array(inside, "b.npy"), np.ones(3))


def test_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="space"):
        write_mask(tmp_path, "m.mask", np.ones((2, 2, 2)))
    assert not any(tmp_path.iterdir())


def test_content_key_follows_voxels_affine_and_modality() -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    key = content_key(array, EYE, "CT")
    moved = [row[:] for row in EYE]
    moved[0][3] = 1.0
    assert content_key(array.copy(), EYE, "CT") == key
    others = {
        content_key(array + np.int16(1), EYE, "CT"),
        content_key(array.astype(np.int32), EYE, "CT"),
        content_key(array.reshape(3, 2, 4), EYE, "CT"),
        content_key(array, moved, "CT"),
        content_key(array, EYE, "MR"),
    }
    assert len(others) == 5
    assert key not in others
    assert content_key(array[::-1][::-1], EYE, "CT") == key
