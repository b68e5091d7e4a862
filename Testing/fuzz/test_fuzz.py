"""A short run of the fuzzers of untrusted input; for longer runs: `by_hand.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("pydicom")

sys.path.insert(0, str(Path(__file__).parent))
from targets import TARGETS, run, seed

_REGRESSIONS = Path(__file__).with_name("regressions")


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A valid input with bytes changed, cut off, doubled or put in."""
    data = bytearray(seed(name))
    # Most formats have their say in the beginning.
    places = st.one_of(st.integers(0, max(0, len(data) - 1)), st.integers(0, min(400, max(0, len(data) - 1))))
    for place, value in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        data[place] = value
    kind = draw(st.sampled_from(["as it is", "cut off", "doubled", "put in"]))
    place = draw(places)
    if kind == "cut off":
        del data[place:]
    elif kind == "doubled":
        data = data[:place] + data[max(0, place - 40) : place] + data[place:]
    elif kind == "put in":
        data[place:place] = draw(st.binary(max_size=20))
    return bytes(data)


@pytest.mark.filterwarnings("ignore")  # of libraries, about the damage
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_are_read_or_refused(name: str) -> None:
    @settings(max_examples=80, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.one_of(damaged(name), st.binary(max_size=200)))
    def check(data: bytes) -> None:
        run(name, data)

    check()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", sorted(_REGRESSIONS.glob("*")), ids=lambda path: path.name)
def test_inputs_of_earlier_findings(path: Path) -> None:
    """Files `target-hash`: inputs that once did harm."""
    run(path.name.rpartition("-")[0], path.read_bytes())
