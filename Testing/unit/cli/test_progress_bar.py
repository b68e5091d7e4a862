import io
import sys

import pytest

from dsm.cli.progress_bar import ProgressBar

STEPS = [
    ("load", 0, 4),
    ("load", 1, 4),
    ("load", 0, 2),
    ("load", 2, 2),
    ("load", 0, 1),
    ("load", 1, 1),
    ("encode", 0, 100),
    ("encode", 50, 100),
    ("encode", 100, 100),
    ("text", 0, 0),
    ("decode", 0, 3),
    ("decode", 3, 3),
    ("write", 1, 1),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_percent_is_monotonic_and_ends_at_100():
    bar = ProgressBar()
    percents = []
    for step in STEPS:
        bar(*step)
        percents.append(bar.percent_at(*step))
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_is_drawn_on_a_terminal_and_removed(monkeypatch):
    pytest.importorskip("tqdm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar() as bar:
        for step in STEPS:
            bar(*step)
    drawn = terminal.getvalue()
    assert "encode" in drawn
    assert "\n" not in drawn


def test_is_silent_in_a_pipe(capsys):
    with ProgressBar() as bar:
        for step in STEPS:
            bar(*step)
    assert capsys.readouterr().err == ""


def test_works_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with ProgressBar() as bar:
        bar("encode", 1, 2)
    assert sys.stderr.getvalue() == ""
