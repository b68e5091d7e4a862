"""The demo CT for benches, and its encoding by the shipped model: made once for all that compare with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from dsm.core.volume import Volume
from dsm.inference.scan import Scan
from dsm.inference.segmenter import Segmenter
from dsm.io.image import read_volume


@dataclass(frozen=True)
class EncodedDemo:
    """What encoded, what was encoded, and what came of it in how many CPU seconds."""

    segmenter: Segmenter
    volume: Volume
    scan: Scan
    seconds: float


@pytest.fixture(scope="session")
def demo_ct() -> Path:
    slicerio = pytest.importorskip("slicerio")
    return Path(slicerio.__file__).parent / "data" / "CTChest4.nrrd"


@pytest.fixture(scope="session")
def encoded_demo(demo_ct: Path) -> EncodedDemo:
    segmenter = Segmenter.from_pretrained("dsm-small")
    volume = read_volume(demo_ct, modality="CT")
    began = time.process_time()
    scan = segmenter.encode(volume)
    return EncodedDemo(segmenter, volume, scan, time.process_time() - began)
