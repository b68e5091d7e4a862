"""Notes on scans whose header mirrors or rotates them, from the order of organs."""

import numpy as np
import pytest
import torch

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.inference.organ_order import (
    SketchedOrgan,
    body_notes,
    laterality_features,
    laterality_notes,
    order_notes,
    sketch_organs,
)
from dsm.inference.working_grid import WorkingGrid

# Centroids in mm, RAS+, of an adult.
ORGANS = {
    "liver": (70, 20, 100),
    "spleen": (-90, -30, 110),
    "stomach": (-50, 40, 90),
    "left kidney": (-60, -50, 40),
    "right kidney": (60, -50, 30),
    "pancreas": (0, 10, 50),
    "aorta": (-10, -30, 60),
    "inferior vena cava": (20, -25, 60),
    "gallbladder": (60, 40, 60),
}


def centres(turned=(1, 1, 1), **changed):
    return {name: np.array(changed.get(name, at)) * turned for name, at in ORGANS.items()}


def test_normal_anatomy_has_no_note():
    assert order_notes(centres()) == ()
    assert order_notes({}) == ()


@pytest.mark.parametrize(
    ("turned", "what"),
    [((-1, 1, 1), "left and right"), ((1, -1, 1), "front and back"), ((1, 1, -1), "head and feet")],
)
def test_mirrored_or_rotated_scan_is_noted(turned, what):
    (note,) = order_notes(centres(turned))
    assert note.code == "geometry.order"
    assert f"{what} may be swapped" in note.text


def test_mirrored_scan_is_noted_despite_kidneys_labelled_by_side():
    mirrored = centres((-1, 1, 1))
    mirrored["left kidney"], mirrored["right kidney"] = mirrored["right kidney"], mirrored["left kidney"]
    assert len(order_notes(mirrored)) == 1


def test_false_positive_organs_in_a_neck_scan_give_no_note():
    neck = {"left lung": np.array([-60, 0, 0]), "right lung": np.array([60, 0, 0]), "liver": np.array([0, 0, 100])}
    assert order_notes(neck) == ()
    assert order_notes({"stomach": np.array([0, -50, 0]), "aorta": np.zeros(3)}) == ()


def test_single_misplaced_organ_gives_no_note():
    assert order_notes(centres(spleen=(120, -30, 110))) == ()
    assert order_notes(centres(liver=(-200, 20, 100), gallbladder=(-200, 40, 60))) != ()  # all neighbours say so


@pytest.mark.parametrize(("spacing_mm", "num_notes"), [(5.0, 0), (10.0, 1)])
def test_body_of_twice_the_size_is_noted(spacing_mm, num_notes):
    array = np.full((80, 50, 40), -1000.0, dtype=np.float32)
    array[5:75, 5:45] = 40  # 35 x 20 cm at 5 mm
    notes = body_notes(Volume(array, np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0]), modality="CT"))
    assert [note.code for note in notes] == ["geometry.large_body"] * num_notes


@pytest.mark.parametrize("signs", [(-1, -1, 1), (1, 1, 1), (1, -1, -1)])
def test_centres_are_independent_of_storage_order(signs):
    """Two organs as bright boxes that a network of two thresholds marks."""

    class Net:
        @staticmethod
        def mask_head(queries, embedding):
            return embedding * queries[..., None, None]

    class Encoded:
        organ_queries = torch.tensor([1.0, -1.0]).view(1, 2, 1)
        embedding = torch.zeros(1, 1, 64, 64, 64)

    Encoded.embedding[0, 0, 40:60, 10:50, 10:50] = 1.0  # 864 ml at 3 mm: the liver
    Encoded.embedding[0, 0, 4:20, 10:40, 10:40] = -1.0  # 389 ml: the spleen
    volume = Volume(np.zeros((128, 128, 128), np.float32), np.diag([1.5 * sign for sign in signs] + [1.0]), "MR")
    grid = WorkingGrid.of(volume, Box((0, 0, 0), volume.shape), spacing_mm=1.5)
    found = sketch_organs(Net(), Encoded(), ("liver", "spleen"), grid, volume)
    assert found["liver"].centre_mm - found["spleen"].centre_mm == pytest.approx([3 * 38, 3 * 5, 3 * 5], abs=6)
    assert found["liver"].volume_ml == pytest.approx(864, rel=0.2)
    assert found["liver"].mean_probability == pytest.approx(1 / (1 + np.exp(-1)), abs=0.01)
    assert sketch_organs(Net(), Encoded(), ("larynx", "urinary bladder"), grid, volume).keys() == {"urinary bladder"}


def sketch(liver_ml=1500.0, spleen_ml=200.0, sure=0.97, **others):
    at = np.zeros(3)
    organs = {
        "liver": (liver_ml, sure),
        "spleen": (spleen_ml, 0.95),
        "stomach": (300.0, sure - 0.05),
        "pancreas": (80.0, 0.9),
    }
    return {name: SketchedOrgan(at, ml, p) for name, (ml, p) in (organs | others).items()}


def test_mirrored_organs_by_volume_are_noted():
    weights = (-7.82, 1.71, 0.98, 2.0)
    assert laterality_notes(sketch(), weights) == ()
    (note,) = laterality_notes(sketch(liver_ml=800, spleen_ml=900, sure=0.90), weights)
    assert (note.code, "left and right may be swapped" in note.text) == ("geometry.order", True)
    assert laterality_notes(sketch(sure=1.0), weights) == ()


def test_laterality_needs_the_upper_abdomen_and_weights():
    mirrored = sketch(liver_ml=800, spleen_ml=900, sure=0.90)
    assert laterality_notes(mirrored, ()) == ()
    del mirrored["pancreas"]
    assert laterality_features(mirrored) is None
    assert laterality_notes(mirrored, (-100.0, 1.0, 1.0, 1.0)) == ()
