"""The source volume of a segment and the source of its result are two things."""

from __future__ import annotations

import numpy as np
from phantoms import SHAPE, plain_affine, segment_ids, segment_of, volume_node

from dsm.core.name_status import ResultSource
from dsm.core.segment_tags import SOURCE_TAG, SOURCE_VOLUME_TAG
from DSMSegmentLib import Runs
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.segment_tags import factsOf
from DSMSegmentLib.scene.segment_volumes import isOfAnotherVolume, noteVolume, volumeOfSegment


def test_source_of_a_result_stays_when_its_volume_is_noted() -> None:
    first, second = volume_node(plain_affine(), name="first"), volume_node(plain_affine(), name="second")
    runs = Runs(FakeBackend({"liver": np.ones(SHAPE, np.uint8)}))
    node, clicked = runs.prepareSegment(first, "schwannoma")
    for volume in (first, second, first):
        noteVolume(node, clicked, volume)
        assert volumeOfSegment(node, clicked) is volume
        assert isOfAnotherVolume(node, clicked) is (volume is second)
        facts = factsOf(segment_of(node, clicked))
        assert facts is not None
        assert facts.source is ResultSource.CLICK


def test_volume_of_a_scene_from_before_is_found() -> None:
    first, second = volume_node(plain_affine(), name="first"), volume_node(plain_affine(), name="second")
    runs = Runs(FakeBackend({"liver": np.ones(SHAPE, np.uint8)}))
    node = runs.segment(first, "liver", wait=True).segmentationNode
    (liver,) = segment_ids(node)
    segment = segment_of(node, liver)
    noteVolume(node, liver, second)
    segment.SetTag(SOURCE_TAG, "DSMSegment.Volume.1")  # as it was written then, with the source in another tag
    segment.SetTag("DSM.Answer", "guess")
    segment.RemoveTag(SOURCE_VOLUME_TAG)
    assert volumeOfSegment(node, liver) is second
    assert isOfAnotherVolume(node, liver)
