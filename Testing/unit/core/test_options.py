"""The options of a prompt run."""

from __future__ import annotations

import pytest

from dsm.core.boxes import Box
from dsm.core.options import SegmentOptions
from dsm.errors import InputError
from dsm.wire.codec import from_fields, to_fields


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, 2.0, float("nan")])
def test_invalid_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match="threshold") as caught:
        SegmentOptions(threshold=threshold)
    assert caught.value.code == "input.threshold"


def test_options_round_trip_through_messages() -> None:
    options = SegmentOptions(threshold=0.25, fast=True, region=Box((1, 2, 3), (4, 5, 6)))
    assert from_fields(SegmentOptions, to_fields(options)) == options


def test_options_from_form_ignore_other_fields() -> None:
    values = {"threshold": 0.25, "uncertainty": 1, "prompts": ["liver"], "region": "of no interest"}
    assert SegmentOptions.from_form(values) == SegmentOptions(threshold=0.25, uncertainty=True)
