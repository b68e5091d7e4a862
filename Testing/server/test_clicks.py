"""Clicks on a server: one upload, encoding for named prompts only, and validation at submission."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from http_server import AFFINE, SMALL, TOKENS, Server, phantom

from dsm.cli.main import main
from dsm.client.session import ClientSession
from dsm.core.boxes import CroppedArray
from dsm.core.click import MAX_CLICKS, Click
from dsm.core.name_status import ResultSource
from dsm.core.volume import Volume
from dsm.errors import DSMError
from dsm.io.nifti import write_nifti
from dsm.text.prompt import parse_prompts

pytestmark = pytest.mark.xdist_group("server")

MIDDLE = (-4.0, 0.0, 64.0)
CLICK = replace(parse_prompts("schwannoma")[0], clicks=(Click(MIDDLE),))
VOLUME = Volume(phantom(), np.array(AFFINE))


@pytest.fixture(scope="module")
def click_server(
    tmp_path_factory: pytest.TempPathFactory, dsm_tiny: Path, with_clicks: Callable[[Path], Path]
) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), "--model", str(with_clicks(dsm_tiny))) as running:
        yield running.wait_until_ready()


def test_clicks_need_no_encoding_and_send_the_volume_once(click_server: Server) -> None:
    stages: list[str] = []
    with click_server.client() as client:
        session = ClientSession(client, on_progress=lambda progress: stages.append(progress.stage))
        session.load("")
        assert client.ready.clicks
        (result,) = session.prepare(VOLUME, [CLICK]).segment([CLICK])
        assert (result.source, result.full_mask().shape) == (ResultSource.CLICK, SMALL)
        assert "encode" not in stages
        mixed = [*parse_prompts("liver"), CLICK]
        results = session.prepare(VOLUME, mixed).segment(mixed)
        assert [one.prompt for one in results] == mixed
        assert "encode" in stages
        stages.clear()
        session.prepare(VOLUME, mixed).segment(mixed)
        session.prepare(VOLUME, [CLICK]).segment([CLICK])
        assert "encode" not in stages
    assert sum("POST /volumes " in line for line in click_server.log) == 1


def test_click_on_the_command_line(
    click_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DSM_REMOTE_TOKEN", TOKENS["anna"])
    scan, out = tmp_path / "scan.nii.gz", tmp_path / "out.seg.nrrd"
    write_nifti(scan, CroppedArray(VOLUME.array, (0, 0, 0)), VOLUME.shape, VOLUME.affine)
    click = ("--click", "schwannoma={},{},{}".format(*MIDDLE))
    arguments = ("--server", click_server.address, "--yes", "-o", str(out))
    assert main(["segment", str(scan), *click, *arguments]) == 0
    assert "schwannoma" in capsys.readouterr().out
    assert out.is_file()


@pytest.mark.parametrize(
    ("clicks", "code"),
    [
        ((Click(MIDDLE, inside=False),), "click.inside"),
        ((Click((900.0, 0.0, 0.0)),), "click.outside"),
        ((Click(MIDDLE),) * (MAX_CLICKS + 1), "click.too_many"),
    ],
)
def test_invalid_clicks_are_refused(click_server: Server, clicks: tuple[Click, ...], code: str) -> None:
    prompt = replace(CLICK, clicks=clicks)
    with click_server.client() as client:
        scan = ClientSession(client).prepare(VOLUME, [prompt])
        with pytest.raises(DSMError) as caught:
            scan.segment([prompt])
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)


def test_clicks_in_the_json_of_a_job(click_server: Server) -> None:
    connection = click_server.connection()
    with click_server.client() as client:
        scan = ClientSession(client).open(VOLUME)
        body = {
            "volume": client._volumes.id_of(scan.key),
            "prompts": [{"text": "schwannoma", "clicks": [{"ras_mm": MIDDLE, "inside": True}]}],
        }
        job = connection.call("POST", "/jobs", body=body)["job"]
        assert list(connection.lines(f"/jobs/{job}/events?after=0"))[-1]["type"] == "done"
        (result,) = connection.call("GET", f"/jobs/{job}/result")["results"]
        assert result["name"] == "schwannoma"
        body["prompts"] = [{"text": "kidneys", "clicks": [{"ras_mm": MIDDLE}]}]
        with pytest.raises(DSMError, match="several"):
            connection.call("POST", "/jobs", body=body)


def test_model_without_click_network_refuses_clicks_at_submission(server: Server) -> None:
    with server.client() as client:
        assert not client.ready.clicks
        scan = ClientSession(client).open(VOLUME)
        with pytest.raises(DSMError) as caught:
            scan.segment([CLICK])
    assert caught.value.code == "model.clicks"
    assert not any("events" in line for line in server.log[-2:])
