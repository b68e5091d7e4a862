"""Kind of a prompt's name for a model, and the words for its results; `dsm.text.name_status` tells the kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class NameKind(StrEnum):
    """Relation of a name to the training labels of a model."""

    LEARNED = "learned"
    RELATED = "related"
    UNKNOWN = "unknown"


class ImageRule(StrEnum):
    """A rule on intensities that segments without training labels."""

    ORGAN_OUTLIERS = "organ_outliers"
    LUNG_NODULES = "lung_nodules"


class ResultSource(StrEnum):
    """Source of a result. The values are the words of every table and tag."""

    LEARNED = "learned"
    RELATED_NAME = "related name"
    IMAGE_RULE = "image rule"
    GUESS = "guess"
    CLICK = "click"
    NONE = "not known"


class ResultLabel(StrEnum):
    """Label of a result in tables: the same words in the panel and the page."""

    FOUND = "found"
    CHECK = "found, check"
    RELATED_NAME = "related name, check"
    IMAGE_RULE = "image rule, check"
    GUESS = "guess, check"
    CLICK = "found by click"
    NOT_FOUND = "not found"
    NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class NameStatus:
    """Kind of a prompt's name for one model.

    Args:
        kind: Learned, related or unknown.
        learned_name: The learned name that stands for a related one; empty where a rule does.
        rule: The rule for a related name.
        near: Learned names that an unknown one may have been meant for, best first.
        code: Stable identifier for programs: `"name.related"`, `"name.rule"`, `"name.unknown"` or `"name.modality"`
            (learned in the other modality only); empty if learned.
        text: What follows for the user, why, and what to do; empty if learned.
    """

    kind: NameKind
    learned_name: str = ""
    rule: ImageRule | None = None
    near: tuple[str, ...] = ()
    code: str = ""
    text: str = ""

    def source(self, *, guess: bool) -> ResultSource:
        """Return the source of a result for the prompt.

        Args:
            guess: Whether guesses are allowed or, after a run, whether the result is one.
        """
        if self.kind is NameKind.LEARNED:
            return ResultSource.LEARNED
        if self.kind is NameKind.RELATED:
            return ResultSource.IMAGE_RULE if self.rule else ResultSource.RELATED_NAME
        return ResultSource.GUESS if guess else ResultSource.NONE


#: Sentence about a mask that touches the border of the scan. A fact to read the volume by, and no reason for a check:
#: vessels, bowel and spinal cord leave most scans.
CUT_OFF = "The mask reaches the end of the scan: its volume is a lower bound."

_FOUND_LABELS = {
    ResultSource.RELATED_NAME: ResultLabel.RELATED_NAME,
    ResultSource.IMAGE_RULE: ResultLabel.IMAGE_RULE,
    ResultSource.GUESS: ResultLabel.GUESS,
    ResultSource.CLICK: ResultLabel.CLICK,
}


def result_label(source: ResultSource, *, found: bool, warnings: Sequence[str] = ()) -> ResultLabel:
    """Return the label of a result.

    Args:
        source: Source of the result.
        found: Whether there is a mask.
        warnings: Texts of one or more sentences for the user; one besides `CUT_OFF` asks for a check.
    """
    if not found:
        return ResultLabel.NOT_KNOWN if source is ResultSource.NONE else ResultLabel.NOT_FOUND
    return _FOUND_LABELS.get(source) or (ResultLabel.CHECK if _asks_for_check(warnings) else ResultLabel.FOUND)


def _asks_for_check(warnings: Sequence[str]) -> bool:
    return any(text.replace(CUT_OFF, "").strip() for text in warnings)


def names_of_other_modality(only_in: Mapping[str, Collection[str]], modality: str) -> dict[str, str]:
    """Return the names that a model has learned in the other modality only, with that modality; empty for `""`.

    Args:
        only_in: Names that were learned in one modality alone, by modality.
        modality: `"CT"` or `"MR"`, of the scan; empty where unknown.
    """
    return {name: other for other, names in only_in.items() if modality and other != modality for name in names}
