"""Free-response ROC: lesion sensitivity against false positives by component confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsm.core.boxes import CroppedArray
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.evaluation.bootstrap import bootstrap_mean
from dsm.evaluation.lesions import count_false_positives, true_lesions
from dsm.evaluation.mask_pair import MaskPair
from dsm.inference.scan import Scan

CONFIDENCES = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
MOST_FALSE_POSITIVES = 3.0  # a scan, where the sensitivity is read off


def froc_points(scan: Scan, prompt: Prompt, truth: np.ndarray, *, fast: bool) -> list[dict[str, float]]:
    """Segment a trained tumor at several confidence thresholds of a component.

    Args:
        scan: Encoded.
        prompt: A tumor of the training labels.
        truth: Bool `[I, J, K]`.
        fast: Without visual prompts.

    Returns:
        For each of `CONFIDENCES`: `confidence`, lesions `found`, `false_positives`.
    """
    crop, points = CroppedArray.from_mask(truth), []
    for confidence in CONFIDENCES:
        result = scan.segment([prompt], SegmentOptions(fast=fast), part_confidence=confidence)[0]
        pair = MaskPair.of(crop, result.mask, scan.volume.spacing_mm)
        found = sum(lesion.is_found for lesion in true_lesions(pair))
        points.append({"confidence": confidence, "found": found, "false_positives": count_false_positives(pair)})
    return points


def sensitivity_at_few_false_positives(rows: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Return the best sensitivity of some scans with at most three false positives per scan.

    Args:
        rows: Of one tumor, a scan each, with `froc` and `lesions`.

    Returns:
        Mean over lesions and its interval over scans (`mean`, `low`, `high`, `n`), with the `confidence` and the
        `false_positives` a scan there; None if there is no such point, or no lesion.
    """
    measured = [row for row in rows if "froc" in row]
    lesions = [len(row["lesions"]) for row in measured]
    best: dict[str, float] | None = None
    for number, confidence in enumerate(CONFIDENCES):
        points = [row["froc"][number] for row in measured]
        shares = [(p["found"] / n, float(n)) for p, n in zip(points, lesions, strict=True) if n]
        if not shares:
            return None
        false_positives = float(np.mean([point["false_positives"] for point in points]))
        if false_positives > MOST_FALSE_POSITIVES:
            continue
        values, weights = zip(*shares, strict=True)
        here = bootstrap_mean(values, weights).as_dict()
        if best is None or here["mean"] > best["mean"]:
            best = {**here, "confidence": confidence, "false_positives": round(false_positives, 3)}
    return best
