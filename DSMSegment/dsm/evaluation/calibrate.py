"""Fit presence decision and score of a model on validation cases: `python -m dsm.evaluation.calibrate RECIPE`.

Run it again when the weights change: a calibration of other weights is ignored. Samples are kept in a file, one a line,
so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dsm.core.boxes import CroppedArray
from dsm.core.default_model import DEFAULT_MODEL
from dsm.core.evidence import Evidence
from dsm.core.result import PromptResult
from dsm.core.volume import Volume
from dsm.errors import ConfigError, DSMError, InputError
from dsm.evaluation.altered_scans import altered_scans
from dsm.evaluation.evaluate import exact_prompt, read_case
from dsm.evaluation.json_lines import append_lines, read_lines
from dsm.evaluation.logistic_fit import fit_logistic
from dsm.evaluation.mask_pair import MaskPair, overlap
from dsm.evaluation.reliability import reliability
from dsm.inference.segmenter import Segmenter
from dsm.io.manifest import CaseEntry, read_manifest
from dsm.models.calibration import DOUBTFUL_BELOW, Calibration, features_of, probability
from dsm.models.store import find_model, write_manifest
from dsm.text.vocabulary import load_vocabulary

logger = logging.getLogger(__name__)

GOOD_DICE = 0.5
VERY_GOOD_DICE, MOST_DOUBTED = 0.8, 0.03  # share of such masks that are called doubtful
MOST_MISSED = 0.01  # of present structures that have a mask, half of what is allowed, as samples are few
_WHOLE = 0.5  # share of a structure in the field of view from which it counts as present


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A data set to calibrate on.

    Args:
        folder: Below the data root.
        absent_regions: Body regions (`Structure.body_region`) that no scan of the set shows: learned names of them that
            are not annotated are absent.
        crops: Also cut each scan into pieces.
        removed: Structures to take out, one at a time.
    """

    folder: str
    absent_regions: tuple[str, ...] = ()
    crops: bool = False
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One learned name in one scan.

    Args:
        case: Set, case and variant.
        name: Learned name.
        is_there: Whether the scan holds it; None where that is unknown, or where less than half of it is in view.
        dice: Of the mask; None where the name is not annotated.
        true_ml: Labelled volume; None where the name is not annotated.
        evidence: What the network says; None where it marks nothing.
    """

    case: tuple[str, str, str]
    name: str
    is_there: bool | None
    dice: float | None
    true_ml: float | None
    evidence: Evidence | None


def labelled_sets(values: Sequence[dict[str, Any]]) -> list[LabelledSet]:
    """Read the sets of a recipe; `ConfigError` if a key is unknown or a region does not occur in the vocabulary."""
    vocabulary = load_vocabulary()
    sets = []
    for value in values:
        given: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
        try:
            one = LabelledSet(**given)
        except TypeError as error:
            raise ConfigError(
                f"A set of the recipe is wrong: {error}.", hint="See recipes/calibration.yaml."
            ) from error
        vocabulary.check_regions(one.absent_regions)
        sets.append(one)
    return sets


def collect(
    segmenter: Segmenter,
    root: Path,
    sets: Sequence[LabelledSet],
    *,
    done: frozenset[tuple[str, str, str]] = frozenset(),
) -> Iterator[list[Sample]]:
    """Segment all learned names in the validation cases of some sets and in altered forms of them.

    Args:
        segmenter: Its calibration is not used.
        root: Folder of the sets.
        sets: Where to look.
        done: Cases to leave out.

    Yields:
        The samples of a case.

    Raises:
        InputError: If a set has no validation case.
    """
    plain = replace_calibration(segmenter)
    prompts = [exact_prompt(name) for name in segmenter.config.trained]
    for one in sets:
        entries = [entry for entry in read_manifest(root / one.folder) if entry.validation]
        if not entries:
            raise InputError(f"{one.folder} has no validation case.", hint="Leave it out of the recipe.")
        for entry in entries:
            volume, label = read_case(entry)
            for variant, image, ids in altered_scans(entry, volume, label, crops=one.crops, removed=one.removed):
                case = (one.folder, entry.case_id, variant)
                if case in done:
                    continue
                logger.info("%s", ", ".join(case))
                results = plain.encode(image).segment(prompts)
                yield [_sample(case, one, entry, label, ids, image, result) for result in results]


def replace_calibration(segmenter: Segmenter) -> Segmenter:
    """Return the same segmenter with a calibration that finds every mask."""
    names = dict.fromkeys(segmenter.config.trained, 1.0)
    weights = (0.0, 0.0, 0.0, 0.0)
    every = Calibration(model_digest="", typical_ml=names, presence=weights, least_presence=0.0, score=weights)
    return Segmenter(
        segmenter.net,
        segmenter.config,
        segmenter.embedder,
        entry=segmenter.entry,
        precision=segmenter.precision,
        calibration=every,
    )


def _sample(
    case: tuple[str, str, str],
    one: LabelledSet,
    entry: CaseEntry,
    label: np.ndarray,
    ids: np.ndarray,
    image: Volume,
    result: PromptResult,
) -> Sample:
    name = result.prompt.name
    if name not in entry.targets:
        return Sample(case, name, _absent_by_region(name, one), None, None, result.evidence)
    truth = np.isin(ids, entry.targets[name])
    is_there = _is_there(np.isin(label, entry.targets[name]), truth, whole=case[2] == "whole")
    dice = overlap(MaskPair.of(CroppedArray.from_mask(truth), result.mask, image.spacing_mm)).dice
    true_ml = round(image.ml_of(np.count_nonzero(truth)), 3)
    return Sample(case, name, is_there, 0.0 if dice is None else round(dice, 4), true_ml, result.evidence)


def typical_volumes(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the median labelled volume (ml) of each name over whole scans that hold it."""
    found: dict[str, list[float]] = {}
    for sample in samples:
        if sample.true_ml and sample.case[2] == "whole":
            found.setdefault(sample.name, []).append(sample.true_ml)
    return {name: round(float(np.median(volumes)), 3) for name, volumes in sorted(found.items())}


def calibrate(samples: Sequence[Sample], *, model_digest: str) -> Calibration:
    """Fit both models, and measure them on cases that were left out of the fit, one case at a time.

    Raises:
        InputError: If there are too few samples.
    """
    typical_ml = typical_volumes(samples)
    marked = [sample for sample in samples if sample.evidence is not None]
    fitted = _fit(marked, typical_ml, model_digest)
    left_out: list[tuple[Sample, Calibration]] = []
    for case in dict.fromkeys(sample.case[:2] for sample in marked):
        others = _fit([sample for sample in marked if sample.case[:2] != case], typical_ml, model_digest)
        left_out += [(sample, others) for sample in marked if sample.case[:2] == case]
    found = {(s.case, s.name): c.is_present(s.name, s.evidence) for s, c in left_out if s.evidence is not None}
    scores = [
        (c.score_of(s.name, s.evidence), s.dice)
        for s, c in left_out
        if s.evidence is not None and s.dice is not None and found[s.case, s.name]
    ]
    measured = {
        "left_out": "one case at a time",
        "presence": {
            "present": _shares([s for s in samples if s.is_there], found),
            "absent": _shares([s for s in samples if s.is_there is False], found),
        },
        "score": reliability([score for score, _ in scores], [dice >= GOOD_DICE for _, dice in scores]),
    }
    sure = [score for score, dice in scores if dice >= VERY_GOOD_DICE]
    doubtful_below = round(float(np.quantile(sure, MOST_DOUBTED)), 3) if sure else DOUBTFUL_BELOW
    return replace(fitted, doubtful_below=doubtful_below, measured=measured)


def _fit(marked: Sequence[Sample], typical_ml: dict[str, float], model_digest: str) -> Calibration:
    known = [(s, s.is_there) for s in marked if s.is_there is not None]
    rated = [(s, s.dice >= GOOD_DICE) for s in marked if s.dice is not None]
    for rows, what in ((known, "present and absent"), (rated, "right and wrong")):
        if len({truth for _, truth in rows}) < 2:
            raise InputError(f"The samples are not both {what}.", hint="Add sets or crops to the recipe.")
    presence = fit_logistic(*_matrix(known, typical_ml))
    values = [probability(presence, _features(s, typical_ml)) for s, is_there in known if is_there]
    least = float(np.quantile(values, MOST_MISSED, method="lower"))
    score = fit_logistic(*_matrix(rated, typical_ml))
    return Calibration(
        model_digest=model_digest, typical_ml=typical_ml, presence=presence, least_presence=least, score=score
    )


def _matrix(rows: Sequence[tuple[Sample, bool]], typical_ml: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([_features(sample, typical_ml) for sample, _ in rows]), np.array([truth for _, truth in rows])


def _features(sample: Sample, typical_ml: dict[str, float]) -> tuple[float, ...]:
    if sample.evidence is None:
        raise ValueError("no mask, no features")
    return features_of(sample.evidence, typical_ml.get(sample.name))


def _shares(samples: Sequence[Sample], found: dict[tuple[tuple[str, str, str], str], bool]) -> dict[str, Any]:
    """Return how many of some samples are found, in all and by name."""
    by_name: dict[str, list[bool]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(found.get((sample.case, sample.name), False))
    every = [one for values in by_name.values() for one in values]
    return {
        "num": len(every),
        "found": sum(every),
        "share_found": round(float(np.mean(every)), 4) if every else None,
        "by_name": {name: {"num": len(values), "found": sum(values)} for name, values in sorted(by_name.items())},
    }


def _absent_by_region(name: str, one: LabelledSet) -> bool | None:
    structure = load_vocabulary().get(name)
    return False if structure is not None and structure.body_region in one.absent_regions else None


def _is_there(all_of_it: np.ndarray, in_view: np.ndarray, *, whole: bool) -> bool | None:
    seen = np.count_nonzero(in_view)
    if not seen:
        return False
    return True if whole or seen >= _WHOLE * np.count_nonzero(all_of_it) else None


def calibration_table(calibration: Calibration) -> str:
    """Return what was measured, as Markdown for the model card."""
    measured = calibration.measured
    presence, score = measured["presence"], measured["score"]
    rows = [
        f"| Learned names that are in the scan: found | {_counted(presence['present'])} |",
        f"| Learned names that are not: found | {_counted(presence['absent'])} |",
        f"| Expected calibration error of the score | {score['expected_calibration_error']} (n = {score['num']}) |",
        f"| Brier score | {score['brier']} |",
    ]
    curve = [
        f"| {one['low']:.1f} to {one['high']:.1f} | {one['num']} | {one['predicted']:.2f} | {one['observed']:.2f} |"
        for one in score["curve"]
        if one["num"]
    ]
    head = ["| Score | n | Mean score | Dice of 0.5 or more |", "|---|---|---|---|"]
    return "\n".join(["| Left out, one case at a time | |", "|---|---|", *rows, "", *head, *curve])


def _counted(share: dict[str, Any]) -> str:
    return f"{share['found']} of {share['num']}"


def read_samples(path: Path) -> list[Sample]:
    """Read samples of an earlier run; none where there is no file."""
    return [
        Sample(
            **{
                **row,
                "case": tuple(row["case"]),
                "evidence": None if row["evidence"] is None else Evidence(**row["evidence"]),
            }
        )
        for row in read_lines(path)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect samples, fit, print the table; write `calibration.json` and the manifest of the model on demand."""
    parser = argparse.ArgumentParser(prog="python -m dsm.evaluation.calibrate", description=__doc__)
    parser.add_argument("recipe", type=Path, help="YAML with `data_root` and `sets`, see recipes/calibration.yaml")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
    parser.add_argument("--samples", type=Path, required=True, help="file of samples; those in it are not made again")
    parser.add_argument("--fit-only", action="store_true", help="fit the samples that there are")
    parser.add_argument("--write", action="store_true", help="write calibration.json into the folder of the model")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = yaml.safe_load(options.recipe.read_text(encoding="utf-8"))
        folder = find_model(options.model)
        segmenter = Segmenter.from_pretrained(folder, others=())
        samples = read_samples(options.samples)
        if not options.fit_only:
            done = frozenset(sample.case for sample in samples)
            for new in collect(segmenter, Path(recipe["data_root"]), labelled_sets(recipe["sets"]), done=done):
                append_lines(options.samples, new)
                samples += new
        digest = segmenter.entry.digest if segmenter.entry else ""
        calibration = calibrate(samples, model_digest=digest)
        if segmenter.calibration:  # fitted by dsm.evaluation.fit_laterality
            calibration = replace(calibration, laterality=segmenter.calibration.laterality)
        if options.write:
            calibration.save(folder)
            write_manifest(folder)
    except DSMError as error:
        parser.exit(1, f"{error.one_line}\n")
    print(calibration_table(calibration))  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
