"""The demo CT for benches."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def demo_ct() -> Path:
    slicerio = pytest.importorskip("slicerio")
    return Path(slicerio.__file__).parent / "data" / "CTChest4.nrrd"
