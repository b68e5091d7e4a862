"""Bad input to the real command: a nonzero exit code, a one-line error and no partial files, without delay."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

PACKAGE_PARENT = Path(__file__).parents[3] / "DSMSegment"


def nifti_header(shape: tuple[int, int, int]) -> bytes:
    """Of int16 voxels of 1 mm, in a `.nii` file."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)  # int16
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 0, 0, 0, 0)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<h", header, 254, 1)  # sform
    struct.pack_into("<12f", header, 280, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    header[344:348] = b"n+1\0"
    return bytes(header)


@dataclass
class Call:
    """A valid call, which each case spoils."""

    folder: Path
    model: Path
    scan: Path
    prompt: str = "liver"
    out: str = "out.seg.nrrd"
    more: list[str] = field(default_factory=list)
    max_file_bytes: int | None = None

    def arguments(self) -> list[str]:
        out = str(self.folder / self.out)
        return ["segment", str(self.scan), "-p", self.prompt, "-o", out, "--model", str(self.model), *self.more]


def missing_file(call):
    call.scan = call.folder / "nowhere.nii.gz"


def text_as_nifti(call):
    call.scan = call.folder / "notes.nii.gz"
    call.scan.write_text("These are my notes, not an image.\n" * 100)


def text_compressed_as_nifti(call):
    call.scan = call.folder / "notes.nii.gz"
    call.scan.write_bytes(gzip.compress(b"These are my notes, not an image.\n" * 100))


def empty_file(call):
    call.scan = call.folder / "empty.nrrd"
    call.scan.touch()


def cut_off_file(call):
    whole = call.scan.read_bytes()
    call.scan = call.folder / "cut.nii.gz"
    call.scan.write_bytes(whole[: len(whole) // 2])


def unknown_type(call):
    call.scan = call.folder / "scan.jpg"
    call.scan.write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))


def folder_without_dicom(call):
    call.scan = call.folder / "empty"
    call.scan.mkdir()


def bomb_of_a_large_header(call):
    """A few kilobytes that claim 54 GB."""
    call.scan = call.folder / "bomb.nii.gz"
    call.scan.write_bytes(gzip.compress(nifti_header((30000, 30000, 30)) + bytes(1_000_000)))


def bomb_behind_a_small_image(call):
    """A megabyte that unpacks to a gigabyte, of which the header claims little: the rest is never unpacked.

    So the image itself is good; the call fails at the device, after the image was read.
    """
    call.more = ["--device", "cuda:42"]
    call.scan = call.folder / "bomb.nii.gz"
    zeros = gzip.compress(bytes(2**26))
    call.scan.write_bytes(gzip.compress(nifti_header((9, 9, 9))) + 16 * zeros)


def four_axes(call):
    call.scan = call.folder / "time.nrrd"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((3, 5, 5, 5), np.int16), isVector=False), str(call.scan))


def colour(call):
    call.scan = call.folder / "colour.nrrd"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((5, 5, 5, 3), np.uint8), isVector=True), str(call.scan))


def single_slice(call):
    call.scan = call.folder / "slice.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((1, 50, 50), np.int16)), str(call.scan))


def not_a_number(call):
    call.scan = call.folder / "nan.nrrd"
    array = np.zeros((8, 8, 8), np.float32)
    array[0, 0, 0] = np.nan
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(call.scan))


def empty_prompt(call):
    call.prompt = "  ;  "


def prompt_without_words(call):
    call.prompt = "?!"


def prompt_of_10_kb(call):
    call.prompt = "liver " * 1700


def too_many_prompts(call):
    call.prompt = ";".join(f"x{n}" for n in range(500))


def unknown_model(call):
    call.model = Path("dsm-gigantic")


def folder_without_model(call):
    call.model = call.folder


def _copied_model(call) -> Path:
    call.model = Path(shutil.copytree(call.model, call.folder / "model"))
    return call.model


def flipped_bit_in_the_weights(call):
    path = _copied_model(call) / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def missing_weights(call):
    (_copied_model(call) / "model.safetensors").unlink()


def model_without_manifest(call):
    (_copied_model(call) / "manifest.json").unlink()


def model_of_another_schema(call):
    path = _copied_model(call) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 7}))


def impossible_threshold(call):
    call.more = ["--threshold", "1.5"]


def unknown_output_type(call):
    call.out = "out.xlsx"


def output_in_a_missing_folder(call):
    call.out = "missing/out.seg.nrrd"


def output_below_a_file(call):
    (call.folder / "file").touch()
    call.out = "file/out.seg.nrrd"


def output_is_a_folder(call):
    (call.folder / "out.seg.nrrd").mkdir()


def output_is_a_device(call):
    """Writing to /dev/full would fail; renaming a finished file to it would replace the device."""
    (call.folder / "out.seg.nrrd").symlink_to("/dev/full")


def no_permission(call):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (call.folder / "locked").mkdir(mode=0o500)
    call.out = "locked/out.seg.nrrd"


def full_disk(call):
    """A limit on file sizes fails as a full disk does: the write comes back with an error."""
    call.max_file_bytes = 100_000


def output_is_the_input(call):
    own = call.folder / call.scan.name
    own.write_bytes(call.scan.read_bytes())
    call.scan, call.out = own, own.name


def report_in_the_place_of_the_label_names(call):
    call.out = "out.nii.gz"
    call.more = ["--report", str(call.folder / "out.json")]


def two_kinds_of_maps_in_one_folder(call):
    call.more = ["--probabilities", str(call.folder / "maps"), "--uncertainty", str(call.folder / "maps")]


def label_map_as_scan(call):
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[4:12, 4:12, 4:12], labels[12:20, 4:12, 4:12] = 1, 2
    call.scan = call.folder / "labels.nrrd"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(labels), str(call.scan))


def report_in_a_missing_folder(call):
    call.more = ["--report", str(call.folder / "missing" / "run.json")]


def probabilities_in_a_missing_folder(call):
    call.more = ["--probabilities", str(call.folder / "missing" / "maps")]


CASES = [
    (missing_file, "does not exist"),
    (text_as_nifti, "notes.nii.gz"),
    (text_compressed_as_nifti, "notes.nii.gz"),
    (empty_file, "is empty"),
    (cut_off_file, "cut"),
    (unknown_type, "file type"),
    (folder_without_dicom, "no DICOM"),
    (bomb_of_a_large_header, "limit"),
    (bomb_behind_a_small_image, "cuda:42"),
    (four_axes, "axes"),
    (colour, "scalar"),
    (single_slice, "slice"),
    (not_a_number, "not finite"),
    (empty_prompt, "no prompt"),
    (prompt_without_words, "no words"),
    (prompt_of_10_kb, "4096"),
    (too_many_prompts, "200"),
    (unknown_model, "dsm-gigantic"),
    (folder_without_model, "not a model folder"),
    (flipped_bit_in_the_weights, "damaged"),
    (missing_weights, "missing"),
    (model_without_manifest, "manifest"),
    (model_of_another_schema, "schema version 7"),
    (impossible_threshold, "between 0 and 1"),
    (unknown_output_type, "file type"),
    (output_in_a_missing_folder, "does not exist"),
    (output_below_a_file, "file"),
    (output_is_a_folder, "is a folder"),
    (output_is_a_device, "device"),
    (no_permission, "permission"),
    (full_disk, "full"),
    (output_is_the_input, "is the input"),
    (report_in_the_place_of_the_label_names, "both"),
    (two_kinds_of_maps_in_one_folder, "both"),
    (label_map_as_scan, "label map"),
    (report_in_a_missing_folder, "does not exist"),
    (probabilities_in_a_missing_folder, "does not exist"),
]


def run(call: Call) -> subprocess.CompletedProcess:
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (call.max_file_bytes, call.max_file_bytes))

    return subprocess.run(
        [sys.executable, "-m", "dsm", *call.arguments()],
        env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=limit if call.max_file_bytes else None,
    )


@pytest.mark.parametrize(("spoil", "expected"), CASES, ids=[spoil.__name__ for spoil, _ in CASES])
def test_error_is_one_line_and_no_file_is_written(spoil, expected, tmp_path, tiny_model, scan_file, listing):
    call = Call(tmp_path, tiny_model, scan_file)
    spoil(call)
    before = listing()
    done = run(call)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("dsm")
    assert done.stderr.count("\n") == 1, done.stderr
    assert expected in done.stderr
    assert len(done.stderr) < 600
    # What, why and what to do: at least two sentences.
    assert done.stderr.count(". ") >= 1, done.stderr
    assert listing() == before


def test_ctrl_c_during_encoding(tmp_path, tiny_model, listing):
    rng = np.random.default_rng(0)
    array = rng.integers(-200, 200, (240, 240, 240)).astype(np.int16)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(tmp_path / "scan.nrrd"))
    call = Call(tmp_path, tiny_model, tmp_path / "scan.nrrd", more=["--debug"])
    process = subprocess.Popen(
        [sys.executable, "-m", "dsm", *call.arguments()],
        env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        for line in process.stderr:
            if "Encoding" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=100) == 130, rest
    assert rest.splitlines()[-1].startswith("dsm: cancelled")
    assert listing() == ["scan.nrrd"]
