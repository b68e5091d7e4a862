"""Speed and accuracy of encoding a region with its surroundings, against the whole volume cropped to the region.

In CPU seconds of one process: the wall belongs to whatever else runs here.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from dsm.errors import ModelNotFoundError

PROMPTS = ("right lung", "liver", "aorta")
MARGIN_MM = 10.0


@pytest.mark.bench  # half a minute of an idle machine
def test_region_takes_less_time_with_similar_masks():
    slicerio = pytest.importorskip("slicerio", reason="brings the demo CT")
    from dsm.inference.segmenter import Segmenter
    from dsm.io.image import read_volume

    try:
        segmenter = Segmenter.from_pretrained("dsm-small")
    except ModelNotFoundError:
        pytest.skip("the weights of dsm-small are not here")
    ct = read_volume(next(Path(slicerio.__file__).parent.rglob("CTChest*.nrrd")))
    segmenter.encode(ct)  # warm
    whole, whole_s = encoded(segmenter, ct, None)
    margin = [math.ceil(MARGIN_MM / mm) for mm in ct.spacing_mm]
    ratios, dices = [], []
    for result in whole.segment(list(PROMPTS)):
        assert result.found, f"{result.prompt.name} was not found: the bench is void"
        region = result.mask.box.grow(margin).clip(ct.shape)
        part, part_s = encoded(segmenter, ct, region)
        (again,) = part.segment(result.prompt.name)
        one, other = (mask.full_mask()[region.slices].astype(bool) for mask in (result, again))
        dices.append(2 * (one & other).sum() / (one.sum() + other.sum()))
        ratios.append(part_s / whole_s)
        print(f"{result.prompt.name}: {part_s:.1f} of {whole_s:.1f} CPU s, Dice {dices[-1]:.3f} with the whole run")
    assert min(ratios) < 0.5
    assert max(ratios) < 1.1
    assert min(dices) > 0.85


def encoded(segmenter, volume, region):
    began = time.process_time()
    scan = segmenter.encode(volume, region=region)
    return scan, time.process_time() - began
