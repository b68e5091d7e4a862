import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dsm.cli import info
from dsm.cli import main as cli
from dsm.cli.main import main
from dsm.errors import JobCancelled, ModelNotFoundError


@pytest.fixture
def failing(monkeypatch):
    """Return a function that lets `dsm info` raise."""

    def fail_with(error):
        def run():
            raise error

        monkeypatch.setattr(info, "collect", run)

    return fail_with


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ModelNotFoundError("No model.", hint="Get one."), 2, "dsm: No model. Get one.\n"),
        (ModelNotFoundError("No\n model."), 2, "dsm: No model.\n"),
        (JobCancelled("stop"), 130, "dsm: cancelled; no file was left half-written.\n"),
        (KeyboardInterrupt(), 130, "dsm: cancelled; no file was left half-written.\n"),
    ],
)
def test_errors_become_one_line_and_a_code(failing, capsys, error, code, text):
    failing(error)
    assert main(["info"]) == code
    assert capsys.readouterr().err == text


def test_unexpected_error_exits_with_1_and_mentions_debug(failing, capsys):
    failing(ZeroDivisionError("division\nby zero"))
    assert main(["info"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "ZeroDivisionError: division by zero" in error
    assert "--debug" in error


def test_debug_shows_the_traceback(failing, capsys):
    failing(ZeroDivisionError("x"))
    assert main(["info", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_what_the_encoding_of_the_output_lacks_is_escaped():
    run = subprocess.run(
        [sys.executable, "-m", "dsm", "vocabulary", "foie"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert rb"\u" in run.stdout or rb"\x" in run.stdout


def test_sigterm_exits_like_ctrl_c(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(info, "collect", lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["info"]) == 130
    assert "cancelled" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_closed_pipe_exits_quietly():
    """As in `dsm vocabulary --json | head -1`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dsm", "vocabulary", "--json"],
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout.readline() == b"[\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "arguments", [["vocabulary", "kidney"], ["vocabulary", "--json"], ["info"], ["models", "list"]]
)
def test_full_disk_under_the_output_is_explained(arguments):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dsm", *arguments],
            env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("dsm: no space is left where the output goes")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("chosen", "used"), [(None, "passive"), ("active", "active")])
def test_threads_sleep_while_they_wait_unless_told_otherwise(chosen, used):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": chosen} if chosen else {}
    # The thread library prints its settings when it is loaded, in a process that loads torch after the command began.
    environment["OMP_DISPLAY_ENV"] = "true"
    program = "from dsm.cli.main import main; main(['vocabulary', 'liver']); import torch"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert re.search(rf"OMP_WAIT_POLICY\s*=\s*'{used.upper()}'", done.stderr)
