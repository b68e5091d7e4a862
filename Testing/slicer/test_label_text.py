"""Labels of results in the panel."""

from __future__ import annotations

import pytest

from dsm.core.name_status import ResultLabel
from DSMSegmentLib.panel.label_text import labelText


@pytest.mark.parametrize("label", ResultLabel)
def test_english_text_is_the_shared_one(label: ResultLabel) -> None:
    assert labelText(label) == label.value
