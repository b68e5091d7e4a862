import math

from hypothesis import given
from hypothesis import strategies as st

from dsm.core.boxes import Box
from dsm.inference.working_grid import EDGE_MULTIPLE, snap_to_blocks

LENGTHS = st.tuples(*3 * [st.integers(1, 400)])
MARGINS = st.tuples(*3 * [st.integers(0, 12)])
SPACINGS = st.tuples(*3 * [st.floats(0.3, 6.0)])


def blocks(size, input_mm, working_mm):
    return [
        math.ceil(math.ceil(n * mm / working_mm - 1e-6) / EDGE_MULTIPLE) for n, mm in zip(size, input_mm, strict=True)
    ]


@given(LENGTHS, MARGINS, MARGINS, SPACINGS, st.sampled_from([1.0, 1.5, 3.0]))
def test_box_contains_the_body_without_additional_blocks(length, before, after, input_mm, working_mm):
    inner = Box(before, tuple(a + n for a, n in zip(before, length, strict=True)))
    outer = Box((0, 0, 0), tuple(a + n for a, n in zip(inner.stop, after, strict=True)))
    box = snap_to_blocks(inner, outer, input_mm=input_mm, working_mm=working_mm)
    assert box.intersect(inner) == inner
    assert box.intersect(outer) == box
    assert blocks(box.size, input_mm, working_mm) == blocks(inner.size, input_mm, working_mm)


@given(LENGTHS, MARGINS, MARGINS, SPACINGS)
def test_margin_without_additional_blocks_is_kept(length, before, after, input_mm):
    inner = Box(before, tuple(a + n for a, n in zip(before, length, strict=True)))
    outer = Box((0, 0, 0), tuple(a + n for a, n in zip(inner.stop, after, strict=True)))
    box = snap_to_blocks(inner, outer, input_mm=input_mm, working_mm=1.5)
    for kept, whole, small, mm in zip(box.size, outer.size, inner.size, input_mm, strict=True):
        assert kept == whole or blocks([kept + 1], [mm], 1.5) > blocks([small], [mm], 1.5)
