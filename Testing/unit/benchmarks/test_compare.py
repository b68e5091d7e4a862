"""Networks that `python -m benchmarks.compare` measures, with the measurement replaced."""

import pkgutil

import pytest

from benchmarks import compare
from dsm.bench.peer import Peer


@pytest.fixture
def asked(monkeypatch):
    """Replace measurement and report; yields the plan and the peers that were asked for."""
    calls = []

    def run_bench(plan, *, peers, **_):
        calls.append((plan, [pkgutil.resolve_name(peer) for peer in peers]))
        return {}

    monkeypatch.setattr(compare, "run_bench", run_bench)
    monkeypatch.setattr(compare, "to_markdown", lambda _: "the table")
    return calls


def test_quick_skips_slow_networks(asked, capsys):
    compare.main([])
    ((plan, peers),) = asked
    assert all(isinstance(peer, Peer) for peer in peers)
    names = ["totalsegmentator-3mm", "totalsegmentator-1.5mm", "segresnet", "swin-unetr", "dsm-reference"]
    assert [peer.name for peer in peers] == names
    assert plan.name == "quick"
    assert capsys.readouterr().out == "the table\n"


def test_full_runs_one_window_of_voxtell_if_installed(asked, monkeypatch):
    monkeypatch.setattr(compare, "find_spec", lambda _: object())
    compare.main(["--full"])
    ((plan, peers),) = asked
    assert [peer.name for peer in peers[-2:]] == ["vista3d", "voxtell"]
    assert plan.windows == {"totalsegmentator-3mm": 8, "voxtell": 1}


def test_network_without_its_package_is_skipped(asked, monkeypatch, capsys):
    monkeypatch.setattr(compare, "find_spec", lambda _: None)
    compare.main(["--full"])
    ((_, peers),) = asked
    assert peers[-1].name == "vista3d"
    assert "the package voxtell is not installed" in capsys.readouterr().err


def test_report_is_written(asked, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(compare, "write_report", lambda report, folder: written.append(folder))
    compare.main(["-o", str(tmp_path)])
    assert written == [tmp_path]
