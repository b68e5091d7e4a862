"""Masks of segments are arrays of the name that Slicer looks for: its DICOM SEG exporter takes any other for empty."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from exporter_view import SCALARS, array_names, exported_ids
from phantoms import affine_of, browser_of_frames, mask_of, obliqueness, roi_node, volume_node

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from DSMSegmentLib import JobOptions, OverlapPolicy, Runs
from DSMSegmentLib.jobs.fake_backend import FakeBackend
from DSMSegmentLib.scene.mrml import addVoxelsOutside, orientedImageFromCrop, resampleInto, setVolume
from DSMSegmentLib.scene.policy import ExistingPolicy
from DSMSegmentLib.scene.surface_maker import SURFACE

MASKS = {"liver": mask_of(seed=1), "spleen": mask_of(seed=2), "liver tumor": mask_of(seed=3)}


@pytest.fixture
def volume() -> Any:
    return volume_node(affine_of(np.diag([-1.0, -1.0, 1.0])))


@pytest.fixture
def runs() -> Runs:
    return Runs(FakeBackend(MASKS))


def assert_exported(node: Any, *expected: str) -> None:
    assert array_names(node) == dict.fromkeys(expected, SCALARS)
    assert exported_ids(node) == list(expected)


def test_after_a_run(runs: Runs, volume: Any) -> None:
    node = runs.segment(volume, "liver; liver tumor", wait=True).segmentationNode
    assert_exported(node, "DSM_liver", "DSM_liver_tumor")
    runs.segment(volume, "spleen", node, wait=True, interactive=True)
    assert_exported(node, "DSM_liver", "DSM_liver_tumor", "DSM_spleen")


@pytest.mark.parametrize("policy", [{}, {"existing": ExistingPolicy.REPLACE}, {"overlap": OverlapPolicy.OVERWRITE}])
def test_after_undo(runs: Runs, volume: Any, policy: Any) -> None:
    node = runs.segment(volume, "liver", wait=True).segmentationNode
    runs.use(FakeBackend({"liver": MASKS["spleen"]}))
    runs.segment(volume, "liver", node, JobOptions(**policy), wait=True)
    assert runs.undoLast(node)
    assert_exported(node, "DSM_liver")


@pytest.mark.parametrize("overlap", list(OverlapPolicy))
def test_where_segments_overlap(runs: Runs, volume: Any, overlap: OverlapPolicy) -> None:
    node = runs.segment(volume, "liver", wait=True).segmentationNode
    runs.segment(volume, "spleen", node, JobOptions(overlap=overlap), wait=True)
    assert_exported(node, "DSM_liver", "DSM_spleen")


def test_after_a_run_in_a_region(runs: Runs, volume: Any) -> None:
    node = runs.segment(volume, "liver", wait=True).segmentationNode
    options = JobOptions(existing=ExistingPolicy.REPLACE, roi=roi_node(volume, (3, 4, 3), (6, 8, 5)))
    runs.segment(volume, "liver", node, options, wait=True)
    assert_exported(node, "DSM_liver")


@pytest.mark.parametrize("postprocess", [False, True])
def test_after_another_threshold(runs: Runs, volume: Any, postprocess: bool) -> None:
    node = runs.segment(volume, "liver", wait=True, interactive=True).segmentationNode
    runs.setThreshold(node, "DSM_liver", 0.3, postprocess=postprocess)
    assert_exported(node, "DSM_liver")


def test_at_each_sequence_item(runs: Runs, volume: Any) -> None:
    browser = browser_of_frames(volume, (-1000, 0, 100))
    node = runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    for item in range(browser.GetNumberOfItems()):
        browser.SetSelectedItemNumber(item)
        assert_exported(node, "DSM_liver")


@pytest.mark.parametrize("prompts", ["aorta", "liver; aorta"])
def test_empty_segment_can_be_asked(runs: Runs, volume: Any, prompts: str) -> None:
    node = runs.segment(volume, prompts, options=JobOptions(keepEmpty=True), wait=True).segmentationNode
    # Where it shares its layer with others, Slicer does not see that it is empty.
    assert set(exported_ids(node)) - {"DSM_aorta"} == ({"DSM_liver"} if "liver" in prompts else set())


def test_surface_has_no_scalars_in_place_of_the_color(runs: Runs, volume: Any) -> None:
    node = runs.segment(volume, "liver; liver tumor", wait=True).segmentationNode
    node.CreateClosedSurfaceRepresentation()
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        surface = node.GetSegmentation().GetSegment(segment_id).GetRepresentation(SURFACE)
        assert surface.GetNumberOfPoints() > 0
        assert surface.GetPointData().GetScalars() is None


def test_images_by_themselves(volume: Any) -> None:
    """Modifier labelmap of an effect, and a volume of the scene."""
    crop = CroppedArray.from_mask(MASKS["liver"])
    image, oblique = (orientedImageFromCrop(crop, affine_of(obliqueness(degrees) @ np.eye(3))) for degrees in (0, 20))
    resampleInto(image, oblique)
    addVoxelsOutside(image, oblique, crop.box)
    setVolume(volume, Volume(MASKS["liver"].astype(np.int16), np.eye(4), modality="MR"))
    for one in (image, oblique, volume.GetImageData()):
        assert one.GetPointData().GetArray(SCALARS) is not None
    assert slicer.util.arrayFromVolume(volume).any()
