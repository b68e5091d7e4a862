"""CT numbers of tissues, as ranges to draw from when images are synthesised from label maps."""

from __future__ import annotations

from dataclasses import dataclass

OTHER_TISSUE = "other tissue"  # inside the body, without a label: fat and muscle


@dataclass(frozen=True, slots=True)
class Tissue:
    """Intensity prior of a kind of tissue.

    Args:
        name: Kind of tissue.
        hu: Ranges of the mean in HU; one is drawn for each image. Wider than textbook values on purpose.
        mr: Range of the mean in an MR-like image, from 0 to 1.
        words: A structure whose name contains one of these is of this tissue.
        has_cortex: Its surface is denser than its inside.
    """

    name: str
    hu: tuple[tuple[float, float], ...]
    mr: tuple[float, float] = (0.05, 1.0)
    words: tuple[str, ...] = ()
    has_cortex: bool = False


_SOLID = Tissue("solid organ", ((10.0, 150.0),))
_MIXED = Tissue(OTHER_TISSUE, ((-120.0, -60.0), (20.0, 90.0)))  # fat, muscle

# The first that matches holds.
_TISSUES = (
    Tissue("air", ((-1000.0, -950.0),), (0.0, 0.05), ("trachea", "bronch")),
    Tissue("lung", ((-920.0, -650.0),), (0.0, 0.2), ("lung",)),
    Tissue("fat", ((-130.0, -60.0),), words=("adipose", "breast")),
    Tissue("cartilage", ((50.0, 180.0),), words=("cartilage",)),
    Tissue(
        "bone",
        ((100.0, 500.0),),
        (0.0, 0.7),
        ("vertebra", "rib ", "ribs", "femur", "hip", "sacrum", "skull", "scapula", "clavic", "humerus", "sternum",
         "mandible", "radius", "hand bones", "tibia", " spine", "tooth"),
        has_cortex=True,
    ),
    Tissue("neural", ((15.0, 50.0),), words=("brain", "spinal cord", "pituitary")),
    Tissue("blood", ((30.0, 90.0), (90.0, 350.0)), words=("aorta", "vena", "vein", "artery", "arter", "vessel", "trunk",
                                                         "heart", "atri", "ventric")),
    Tissue("hollow", ((-950.0, -500.0), (-100.0, 60.0), (0.0, 70.0), (100.0, 400.0)), (0.0, 1.0),
           ("stomach", "bowel", "intestine", "colon", "duodenum", "rectum", "esophagus")),
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
