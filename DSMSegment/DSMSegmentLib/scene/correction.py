"""Corrected masks as training cases, in a local folder that `dsm train` reads. Nothing leaves the computer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from dsm.core.boxes import CroppedArray
from dsm.core.segment_tags import MODEL_TAG
from dsm.errors import InputError, OutputError
from dsm.io.atomic import atomic_output
from dsm.io.manifest import MANIFEST
from dsm.io.nifti import write_nifti
from dsm.wire.arrays import content_key
from DSMSegmentLib.scene.mrml import maskOnVolume, volumeFromNode
from DSMSegmentLib.scene.segment_tags import promptOf, tagOf
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment

_NAME = "corrections"


def saveCorrection(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    folder: Path,
    aiMask: CroppedArray | None = None,
) -> str:
    """Add one case to the data set in `folder`: image (once), corrected mask and network mask.

    Args:
        segmentationNode: Holds the corrected segment; the image is the volume that it was made on.
        segmentId: Of the segment.
        folder: Made when it is not there; `dataset.json` in it is the manifest.
        aiMask: Mask of the network, on the grid of the volume; None where it is not known any more.

    Returns:
        Name of the case.

    Raises:
        InputError: If the segment did not come from a prompt, its volume is gone, or `folder` holds another data set.
        OutputError: If it cannot be written.
    """
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    prompt = promptOf(segment)
    if prompt is None:
        message = f"{segment.GetName()} did not come from a prompt."
        raise InputError(message, code="input.prompt", hint="Segment its name first, then correct the result.")
    volumeNode = volumeOfSegment(segmentationNode, segmentId)
    if volumeNode is None:
        message = f"The volume that {segment.GetName()} was made on is not in the scene."
        raise InputError(message, code="input.volume", hint="Make it the reference of the segmentation again.")
    volume = volumeFromNode(volumeNode)
    mask = maskOnVolume(segmentationNode, segmentId, volumeNode)
    manifest = _readManifest(folder)
    label = _labelOf(manifest, prompt.name)
    key = content_key(volume.array, volume.affine.tolist(), volume.modality)
    case = f"{key[:12]}_{_number(manifest, key[:12]):03d}"
    files = {"image": f"{key[:12]}.nii.gz", "label": f"{case}_label.nii.gz"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / files["image"]).is_file():
            _write(folder / files["image"], CroppedArray(volume.array, (0, 0, 0)), volume.shape, volume.affine)
        labelled = CroppedArray((mask.array != 0).astype(np.uint8) * label, mask.offset_ijk)
        _write(folder / files["label"], labelled, volume.shape, volume.affine, isLabel=True)
        if aiMask is not None:
            files["ai"] = f"{case}_ai.nii.gz"
            _write(folder / files["ai"], aiMask, volume.shape, volume.affine, isLabel=True)
        manifest["cases"].append(
            {
                "id": case,
                **files,
                "modality": volume.modality,
                "prompt": prompt.text,
                "model": tagOf(segment, MODEL_TAG),
                "present": {prompt.name: mask.num_voxels},
            }
        )
        with atomic_output(folder / MANIFEST) as part:
            part.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"The correction cannot be written to {folder} ({error.strerror}).") from error
    return case


def _readManifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        return {"name": _NAME, "complete": False, "labels": {}, "annotated": [], "cases": []}
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("name") != _NAME:
        raise InputError(f"{folder} holds another data set.", code="input.folder", hint="Choose an empty folder.")
    return manifest


def _labelOf(manifest: dict[str, Any], name: str) -> int:
    """Return the label value of a name; a new name gets the next free value."""
    labels: dict[str, str] = manifest["labels"]
    for value, known in labels.items():
        if known == name:
            return int(value)
    label = len(labels) + 1
    labels[str(label)] = name
    manifest["annotated"].append(name)
    return label


def _number(manifest: dict[str, Any], stem: str) -> int:
    return 1 + sum(case["id"].startswith(stem) for case in manifest["cases"])


def _write(path: Path, crop: CroppedArray, shape: Iterable[int], affine: np.ndarray, *, isLabel: bool = False) -> None:
    with atomic_output(path) as part:
        write_nifti(part, crop, tuple(shape), affine, is_label=isLabel)  # type: ignore[arg-type]
