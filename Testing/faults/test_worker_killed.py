"""Worker killed at each stage of its work: a typed error, and no process and no file is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from worker_host import ENVIRONMENT, Host, is_running, phantom, wait_until

from dsm.errors import WorkerError
from dsm.wire.messages import Progress, Result

_SHAPE = (70, 60, 50)


@pytest.mark.parametrize("stage", ["load", "read", "encode", "text", "decode", "result"])
def test_worker_killed_at_a_stage(stage: str, dsm_tiny: Path, tmp_path: Path) -> None:
    with Host(environment=ENVIRONMENT, folder_parent=tmp_path) as host:
        pid = host.pid

        def kill_at(wanted: str) -> Any:
            def look(event: Progress | Result) -> None:
                reached = event.stage if isinstance(event, Progress) else "result"
                if reached == wanted:
                    os.kill(pid, signal.SIGKILL)

            return look

        def work() -> None:
            host.wait(host.load(dsm_tiny), timeout_s=200, on_event=kill_at("load" if stage == "load" else ""))
            volume = "load" if stage == "read" else stage
            host.wait(host.set_volume(phantom(_SHAPE)), timeout_s=200, on_event=kill_at(volume))
            prompts = [f"thing {n}" for n in range(12)] if stage == "text" else ["liver", "spleen", "pancreas"] * 8
            host.wait(host.segment(*prompts, guess=stage == "text"), timeout_s=200, on_event=kill_at(stage))

        with pytest.raises(WorkerError) as caught:
            work()
        assert caught.value.code == "worker.died"
        assert caught.value.hint
        assert not host.alive
        with pytest.raises(WorkerError):
            host.load(dsm_tiny)
    assert wait_until(lambda: not is_running(pid), 10)
    assert not list(tmp_path.iterdir())
