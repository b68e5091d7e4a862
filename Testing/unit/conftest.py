"""Training set for tests: phantoms, a text bank and a recipe of six steps."""

import json
from pathlib import Path

import numpy as np
import pytest

NAMES = ("spleen", "liver", "left kidney", "liver tumor", "heart")


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """A folder with the data set `phantoms`: five bodies of 11 cm with a liver, a tumor in it, and a spleen."""
    import SimpleITK as sitk

    root = tmp_path_factory.mktemp("data")
    folder = root / "phantoms"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    cases = []
    for number in range(5):
        grid = np.indices((28, 24, 20)).transpose(1, 2, 3, 0)
        image = np.full(grid.shape[:3], -1000.0)
        label = np.zeros(grid.shape[:3], np.uint8)
        shift = rng.integers(-1, 2, size=3)
        for label_id, hu, center, radius in (
            (0, 0, (14, 12, 10), 12),
            (1, 120, (18, 12, 10), 6),  # liver
            (3, 40, (19, 12, 10), 2),  # tumor
            (2, 200, (7, 12, 10), 3),  # spleen
        ):
            inside = np.linalg.norm(grid - (center + shift), axis=-1) < radius
            image[inside] = hu + rng.normal(0, 10, size=int(inside.sum()))
            label[inside] = label_id
        for kind, array in (("image", image.astype(np.int16)), ("label", label)):
            written = sitk.GetImageFromArray(array.transpose(2, 1, 0))
            written.SetSpacing((4.0, 4.0, 4.0))
            sitk.WriteImage(written, str(folder / "images" / f"{number}_{kind}.nii.gz"))
        cases.append(
            {
                "id": f"phantom_{number}",
                "image": f"images/{number}_image.nii.gz",
                "label": f"images/{number}_label.nii.gz",
                "modality": "CT",
                "present": {"liver": 1, "spleen": 1, "liver tumor": 1},
            }
        )
    manifest = {
        "name": "phantoms",
        "labels": {"1": "liver", "2": "spleen", "3": "liver tumor"},
        "annotated": ["liver", "spleen", "liver tumor"],
        "union": {"liver": ["liver", "liver tumor"]},
        "cases": cases,
    }
    (folder / "dataset.json").write_text(json.dumps(manifest))
    return root


@pytest.fixture(scope="session")
def small_bank():
    """Text vectors of a few names, of 12 channels."""
    from dsm.text.bank import EmbeddingBank

    vectors = np.random.default_rng(0).normal(size=(len(NAMES), 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return EmbeddingBank(NAMES, vectors, vectors.mean(axis=0))


@pytest.fixture
def tiny_recipe():
    """Six steps in two phases on the phantoms."""
    from dsm.training.recipe import Phase, Recipe, Source

    model = {
        "name": "dsm-phantom",
        "organs": ["spleen", "liver", "left kidney"],
        "tumors": ["liver tumor"],
        "channels": [4, 6, 8, 8],
        "num_blocks": [1, 1, 1, 1],
        "decoder_channels": [6, 8, 8],
        "embed_dim": 8,
        "query_dim": 16,
        "num_heads": 2,
        "layers_per_level": 1,
        "text_dim": 12,
        "spacing_mm": 4.0,
    }
    return Recipe(
        model=model,
        precision="float32",  # not as measured: runs that are compared could choose differently
        data_root=".",
        sources=(Source(folder="phantoms", weight=1.0),),
        phases=(
            Phase(steps=3, spacing_mm=4.0, crop=(32, 32, 32), lr=0.01, warmup=2),
            Phase(steps=3, spacing_mm=3.0, crop=(32, 32, 32), lr=0.01, lr_end=0.001, freeze_norm=True),
        ),
        checkpoint_every=2,
        validate_every=4,
        validation_cases=("phantom_4",),
    )
