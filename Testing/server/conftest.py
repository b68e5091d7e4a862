"""A server that most tests share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from http_server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, dsm_tiny: Path) -> Iterator[Server]:
    """One server with one worker for the tests that leave it as it was."""
    with Server(tmp_path_factory.mktemp("server"), "--max-upload-mb", "20") as running:
        yield running.wait_until_ready()
