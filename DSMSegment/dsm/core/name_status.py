"""Kind of a prompt's name for a model; `dsm.text.name_status` tells which."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NameKind(StrEnum):
    """Relation of a name to the training labels of a model."""

    LEARNED = "learned"
    RELATED = "related"
    UNKNOWN = "unknown"


class ImageRule(StrEnum):
    """A rule on intensities that answers without training labels."""

    ORGAN_OUTLIERS = "organ_outliers"
    LUNG_NODULES = "lung_nodules"


@dataclass(frozen=True, slots=True)
class NameStatus:
    """Kind of a prompt's name for one model.

    Args:
        kind: Learned, related or unknown.
        learned_name: The learned name that answers a related one; empty where a rule does.
        rule: The rule that answers a related name.
        near: Learned names that an unknown one may have been meant for, best first.
        code: Stable identifier for programs: `"name.related"`, `"name.rule"`, `"name.unknown"`; empty if learned.
        text: What follows for the user, why, and what to do; empty if learned.
    """

    kind: NameKind
    learned_name: str = ""
    rule: ImageRule | None = None
    near: tuple[str, ...] = ()
    code: str = ""
    text: str = ""
