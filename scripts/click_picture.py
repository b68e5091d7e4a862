"""Draw a lesion by its name alone and by one click: `click_picture.py DATASET CASE NAME NUMBER OUT.png`.

NUMBER counts the lesions of the case, the largest is 0. Yellow: label; filled: mask; the number is Dice of the lesion.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from dsm import Click, Segmenter
from dsm.core.boxes import CroppedArray
from dsm.evaluation.evaluate import read_case, selected_cases
from dsm.evaluation.montage import draw_montage
from dsm.evaluation.simulated_clicks import first_click
from dsm.inference.components import label_components
from dsm.io.manifest import read_manifest


def main(folder: str, case: str, name: str, number: int, out: str) -> None:
    """Write the picture; the click is in the middle of the lesion."""
    (entry,) = selected_cases(read_manifest(Path(folder)), [case], None, None)
    volume, label = read_case(entry)
    parts, count = label_components(np.isin(label, entry.targets[name]))
    sizes = np.bincount(parts.reshape(-1), minlength=count + 1)[1:]
    lesion = parts == 1 + np.argsort(-sizes, kind="stable")[number]
    voxel = first_click(lesion, np.random.default_rng(0), depth=1, spacing=volume.spacing_mm)
    click = Click(tuple((volume.affine @ [*voxel, 1])[:3]))
    scan = Segmenter.from_pretrained("dsm-small").encode(volume)
    by_name, by_click = scan.segment(name)[0].mask, scan.segment(name, clicks=[click])[0].mask
    truth = CroppedArray.from_mask(lesion.astype(np.uint8))
    draw_montage(volume, {f"{name}, by name": (truth, by_name), "one click": (truth, by_click)}, Path(out), inches=6)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]), sys.argv[5])
