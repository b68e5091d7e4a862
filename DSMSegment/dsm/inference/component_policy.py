"""Policy for the connected components of a mask that are kept."""

from __future__ import annotations

from dsm.core.prompt import Prompt

# Names of the vocabulary that are many things, or one thing on both sides, or have no outline of their own.
MULTI_COMPONENT = frozenset(
    {
        "abdominal wall muscle",
        "anterior hippocampus",
        "bone",
        "brain ventricles",
        "cerebrospinal fluid",
        "costal cartilages",
        "gray matter",
        "intervertebral disc",
        "lymph node",
        "pleura",
        "posterior hippocampus",
        "ribs",
        "skeletal muscle",
        "skin",
        "spine",
        "cervical spine",
        "thoracic spine",
        "lumbar spine",
        "subcutaneous fat",
        "tooth",
        "vertebra",
        "visceral fat",
        "white matter",
    }
)

# Tubes are narrower than a working voxel in places, where their mask breaks.
_TUBES = frozenset(
    {"aorta", "artery", "bronchus", "cava", "colon", "duct", "duodenum", "esophagus", "intestine", "trunk", "ureter"}
    | {"urethra", "vein", "vessel"}
)
_BROKEN_TUBE_FRACTION = 0.1
# Free words may name paired organs: the second largest component is kept, small ones are not.
_SPECK_FRACTION = 0.1
# A ball of 6 mm: less is two features across, which is noise as often as it is a lesion.
_SPECK_ML = 0.1


def kept_fraction(prompt: Prompt) -> float:
    """Return the minimum size of a kept component, as a fraction of the largest.

    1 is the largest part alone, for organs that are one thing; 0 is everything, for tumors (any number of them) and for
    structures that come in parts.
    """
    if prompt.kind == "tumor" or prompt.name in MULTI_COMPONENT:
        return 0.0
    if prompt.structure is None:
        return _SPECK_FRACTION
    return _BROKEN_TUBE_FRACTION if _TUBES.intersection(prompt.name.split()) else 1.0


def smallest_part_ml(prompt: Prompt) -> float:
    """Return the minimum volume of a component in ml; 0 if size is not a criterion."""
    return _SPECK_ML if prompt.kind == "tumor" else 0.0
