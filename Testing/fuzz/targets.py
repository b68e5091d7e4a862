"""Functions that parse untrusted bytes; for any input they may raise `DSMError` and nothing else."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK

_TESTING = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTING / "dicom_phantoms"), str(_TESTING.parent / "DSMSegment")]

from dsm.client.connection import Address  # noqa: E402
from dsm.cohort.outcome import OK, Outcome, read_outcome, write_outcome  # noqa: E402
from dsm.errors import DSMError, ProtocolError  # noqa: E402
from dsm.io.dicom_terms import codes_of  # noqa: E402
from dsm.io.image import read_volume  # noqa: E402
from dsm.io.manifest import read_manifest  # noqa: E402
from dsm.models.config import ModelConfig  # noqa: E402
from dsm.models.store import model_entry  # noqa: E402
from dsm.text.prompt import parse_prompts  # noqa: E402
from dsm.wire.arrays import pack_mask, read_array, unpack_mask, write_array  # noqa: E402
from dsm.wire.lines import LineBuffer  # noqa: E402
from dsm.wire.messages import Progress, PromptItem, Segment, decode_event, decode_request, encode_message  # noqa: E402

_MODEL = _TESTING.parent / "model_weights" / "dsm-small"


def _in_file(name: str, data: bytes, read: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, name)
        path.write_bytes(data)
        read(path)


def lines(data: bytes) -> None:
    """Lines of the worker and of the host."""
    for line in LineBuffer().feed(data + b"\n"):
        for decode in (decode_request, decode_event):
            try:
                decode(line)
            except ProtocolError:
                continue


def mask(data: bytes) -> None:
    """Bits of a mask."""
    unpack_mask(data, (7, 5, 3))


def array(data: bytes) -> None:
    """A `.npy` file that a host sent."""
    _in_file("a.npy", data, lambda path: read_array(path.parent, path.name))


def prompt(data: bytes) -> None:
    """Prompts as typed by a user."""
    parse_prompts(data.decode("utf-8", "replace"))


def address(data: bytes) -> None:
    """The address of a server."""
    Address.parse(data.decode("utf-8", "replace"))


def terminology(data: bytes) -> None:
    """The tag of a segment, as a scene may hold it."""
    codes_of(data.decode("utf-8", "replace"))


def model_manifest(data: bytes) -> None:
    """`manifest.json` of a model."""
    _in_file("manifest.json", data, lambda path: model_entry(path.parent))


def model_config(data: bytes) -> None:
    """`config.json` of a model."""
    _in_file("config.json", data, lambda path: ModelConfig.load(path.parent))


def case_manifest(data: bytes) -> None:
    """`manifest.json` of a data set."""
    _in_file("manifest.json", data, lambda path: read_manifest(path.parent))


def outcome(data: bytes) -> None:
    """The record of a case."""
    _in_file("c.json", data, read_outcome)


def nifti(data: bytes) -> None:
    """A NIfTI file."""
    _in_file("a.nii", data, read_volume)


def nrrd(data: bytes) -> None:
    """An NRRD file."""
    _in_file("a.nrrd", data, read_volume)


def meta_image(data: bytes) -> None:
    """A MetaImage file."""
    _in_file("a.mha", data, read_volume)


def dicom(data: bytes) -> None:
    """A folder with one DICOM file."""
    _in_file("a.dcm", data, lambda path: read_volume(path.parent))


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (
        lines,
        mask,
        array,
        prompt,
        address,
        terminology,
        model_manifest,
        model_config,
        case_manifest,
        outcome,
        nifti,
        nrrd,
        meta_image,
        dicom,
    )
}


@cache
def seed(name: str) -> bytes:
    """A valid input, to be damaged."""
    item, progress = (
        PromptItem(id="p", prompt=parse_prompts("liver")[0], file="a"),
        Progress(id="1", stage="encode", done=1, total=2),
    )
    made = {
        "lines": lambda: encode_message(Segment(id="1", volume_key="v", prompts=(item,))) + encode_message(progress),
        "mask": lambda: pack_mask(np.random.default_rng(0).random((7, 5, 3)) > 0.5),
        "prompt": "liver; left kidney, Müller's mass (C1)".encode,
        "address": lambda: b"https://[::1]:8470/dsm",
        "terminology": lambda: b"C~SCT^1^A~SCT^2^B~SCT^3^left~D~SCT^4^Liver~^^",
        "model_manifest": (_MODEL / "manifest.json").read_bytes,
        "model_config": (_MODEL / "config.json").read_bytes,
        "case_manifest": lambda: json.dumps(
            {"dataset": "x", "modality": "CT", "labels": {"1": "liver"}, "cases": [{"id": "a", "image": "a.nii.gz"}]}
        ).encode(),
    }
    if name in made:
        return made[name]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if name == "array":
            write_array(folder, "a.npy", np.zeros((4, 5, 6), np.int16))
        elif name == "outcome":
            write_outcome(folder, Outcome(case="c", source="s", status=OK, fingerprint="x", shape=(1, 2, 3)))
        elif name == "dicom":
            from dicom_series import phantom, write_enhanced

            write_enhanced(folder, voxels=phantom((5, 6, 4)))
        else:
            suffix = {"nifti": "nii", "nrrd": "nrrd", "meta_image": "mha"}[name]
            SimpleITK.WriteImage(SimpleITK.Image([5, 6, 7], SimpleITK.sitkInt16), str(folder / f"a.{suffix}"))
        (path,) = folder.iterdir()
        return path.read_bytes()


def run(name: str, data: bytes) -> None:
    """Give `data` to a target; raises what the target must not."""
    try:
        TARGETS[name](data)
    except DSMError as error:
        assert error.code
        assert "\n" not in error.one_line
