"""Intensities of tissues, as ranges to draw from when images are synthesised from label maps."""

from __future__ import annotations

from dataclasses import dataclass

OTHER_TISSUE = "other tissue"  # inside the body, without a label: fat and muscle


@dataclass(frozen=True, slots=True)
class Tissue:
    """Intensity prior of a kind of tissue.

    Args:
        name: Kind of tissue.
        hu: Ranges of the mean in HU; one is drawn for each image. Wider than textbook values on purpose.
        mr: Range of the mean in an MR-like image of any contrast, from 0 to 1.
        sequences: Ranges in images like T1, T2 and FLAIR; empty where they are not known.
        words: A structure whose name contains one of these is of this tissue.
        has_cortex: Its surface is denser than its inside.
    """

    name: str
    hu: tuple[tuple[float, float], ...]
    mr: tuple[float, float] = (0.05, 1.0)
    sequences: tuple[tuple[float, float], ...] = ()
    words: tuple[str, ...] = ()
    has_cortex: bool = False


_SOLID = Tissue("solid organ", ((10.0, 150.0),))
_MIXED = Tissue(OTHER_TISSUE, ((-120.0, -60.0), (20.0, 90.0)))  # fat, muscle

# The first that matches holds: a hippocampus is no hip.
_TISSUES = (
    Tissue("brain fluid", ((-5.0, 20.0),), sequences=((0.05, 0.3), (0.75, 1.0), (0.0, 0.2)),
           words=("third ventricle", "fourth ventricle", "fifth ventricle", "lateral ventricle", "choroid",
                  "cerebrospinal")),
    Tissue("white matter", ((15.0, 40.0),), sequences=((0.65, 0.95), (0.2, 0.5), (0.35, 0.6)),
           words=("white matter", "corpus callosum")),
    Tissue("gray matter", ((25.0, 55.0),), sequences=((0.35, 0.65), (0.4, 0.7), (0.45, 0.75)),
           words=("cerebral cortex", "cerebellar cortex", "caudate", "putamen", "hippocampus", "amygdala",
                  "accumbens")),
    Tissue("deep gray matter", ((20.0, 55.0),), sequences=((0.5, 0.85), (0.25, 0.6), (0.4, 0.7)),
           words=("thalamus", "pallidus", "diencephalon")),
    Tissue("air", ((-1000.0, -950.0),), (0.0, 0.05), words=("trachea", "bronch")),
    Tissue("lung", ((-920.0, -650.0),), (0.0, 0.2), words=("lung",)),
    Tissue("fat", ((-130.0, -60.0),), words=("adipose", "breast")),
    Tissue("cartilage", ((50.0, 180.0),), words=("cartilage",)),
    Tissue(
        "bone",
        ((100.0, 500.0),),
        (0.0, 0.7),
        ((0.0, 0.3), (0.0, 0.3), (0.0, 0.3)),
        ("vertebra", "rib ", "ribs", "femur", "hip", "sacrum", "skull", "scapula", "clavic", "humerus", "sternum",
         "mandible", "radius", "hand bones", "tibia", " spine", "tooth"),
        has_cortex=True,
    ),
    Tissue("neural", ((15.0, 50.0),), sequences=((0.55, 0.9), (0.25, 0.55), (0.35, 0.65)),
           words=("brain", "spinal cord", "pituitary")),
    Tissue("blood", ((30.0, 90.0), (90.0, 350.0)), words=("aorta", "vena", "vein", "artery", "arter", "vessel", "trunk",
                                                         "heart", "atri", "ventric")),
    Tissue("hollow", ((-950.0, -500.0), (-100.0, 60.0), (0.0, 70.0), (100.0, 400.0)), (0.0, 1.0),
           words=("stomach", "bowel", "intestine", "colon", "duodenum", "rectum", "esophagus")),
    Tissue("fluid", ((-10.0, 40.0), (-10.0, 40.0), (-10.0, 40.0), (100.0, 400.0)),
           words=("bladder", "cyst", "eyeball", "ureter")),
    Tissue("kidney", ((20.0, 70.0), (80.0, 260.0)), words=("kidney",)),
    Tissue("muscle", ((20.0, 90.0),), words=("muscle", "glute", "autochthon", "iliopsoas", "tongue", "skin")),
)  # fmt: skip


def tissue_of(name: str) -> Tissue:
    """Return the tissue of a structure by its name; a solid organ where nothing else matches."""
    if name == OTHER_TISSUE:
        return _MIXED
    return next((tissue for tissue in _TISSUES if any(word in name for word in tissue.words)), _SOLID)
