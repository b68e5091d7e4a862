"""The server conforms to its OpenAPI document: schemathesis sends valid and invalid requests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from http_server import TOKENS, Server, phantom, upload

pytestmark = pytest.mark.xdist_group("server")

_TOOL = Path(sys.executable).with_name("st")


@pytest.mark.skipif(not _TOOL.exists() and shutil.which("st") is None, reason="schemathesis is not installed")
def test_server_conforms_to_its_openapi_schema(server: Server, tmp_path: Path) -> None:
    connection = server.connection()
    volume = upload(connection, phantom((12, 12, 12)))
    job = connection.call("POST", "/jobs", body={"volume": volume, "prompts": ["liver"]})["job"]
    list(connection.lines(f"/jobs/{job}/events"))
    # Real names, so that requests get further than "no such volume". An upload that fits the schema is still no array
    # with that checksum, and a job may have a threshold of 7, so acceptance is not checked there.
    (tmp_path / "schemathesis.toml").write_text(
        f"""
[parameters]
volume_id = "{volume}"
job_id = "{job}"

[[operations]]
include-operation-id = "upload"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = "submit"
checks.positive_data_acceptance.enabled = false
"""
    )
    command = [str(_TOOL), "--config-file", str(tmp_path / "schemathesis.toml"), "run"]
    command += [f"{server.address}/openapi.json", "-H", f"Authorization: Bearer {TOKENS['anna']}"]
    command += ["--max-examples", "15", "--seed", "1", "--request-timeout", "20", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert connection.call("GET", "/healthz")["status"] == "ok"
