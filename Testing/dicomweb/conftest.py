"""Series for a DICOMweb server, and a server with faults."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests are imported by path (import-mode=importlib), so their helpers have to be found by hand.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "dicom_phantoms")]

from dicom_series import phantom, write_series  # noqa: E402
from stand_in import StandIn  # noqa: E402


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small CT series."""
    folder = tmp_path_factory.mktemp("series") / "ct"
    write_series(folder, voxels=phantom((8, 8, 4)))
    return folder


@pytest.fixture
def server(series: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A server that has the series."""
    monkeypatch.delenv("DSM_DICOMWEB_TOKEN", raising=False)
    with StandIn(series).running() as stand_in:
        yield stand_in
