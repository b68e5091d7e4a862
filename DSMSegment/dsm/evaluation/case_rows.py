"""Metrics of one case, one row per name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dsm.core.boxes import CroppedArray
from dsm.core.result import PromptResult
from dsm.evaluation.froc import froc_points
from dsm.evaluation.lesions import count_false_positives, true_lesions
from dsm.evaluation.mask_pair import MaskPair, overlap
from dsm.evaluation.ranking import rank
from dsm.evaluation.regions import body_voxels, host_voxels, tumor_voxels
from dsm.inference.scan import Scan
from dsm.io.manifest import CaseEntry

_SEED = 0  # of the voxels that are ranked


def case_rows(
    entry: CaseEntry, label: np.ndarray, scan: Scan, results: Mapping[str, PromptResult], *, fast: bool = False
) -> dict[str, dict[str, Any]]:
    """Measure the results of a case.

    Args:
        entry: The case.
        label: Label ids `[I, J, K]`.
        scan: Its encoded image.
        results: By annotated name.
        fast: How they were made: without visual prompts.

    Returns:
        {name: row}. Every row has `kind`, `dice`, `nsd`, `hd95_mm` (see `Overlap`), `found`, `found_ml`, `true_ml`,
        `score`; that of a tumor also `lesions` (`ml` and `share` found, each), `false_positives`, that of a trained one
        `froc` (see `froc_points`), and where it occurs, for the score of the prompt and for the anomaly map alone,
        `auroc_R`, `fpr95_R`, `anomaly_auroc_R`, `anomaly_fpr95_R` in the regions R `body` and, where the host organ has
        a label, `host`.
    """
    rows = {}
    for name, result in results.items():
        truth = np.isin(label, entry.targets[name])
        pair = MaskPair.of(CroppedArray.from_mask(truth), result.mask, scan.volume.spacing_mm)
        rows[name] = _mask_row(pair, result)
        if result.prompt.kind == "tumor":
            rows[name] |= _lesion_row(pair)
            if scan.is_trained_tumor(result.prompt):
                rows[name]["froc"] = froc_points(scan, result.prompt, truth, fast=fast)
            if pair.truth.any():
                rows[name] |= _ranking_row(scan, result, truth, _host(result, entry, label), fast=fast)
    return rows


def _mask_row(pair: MaskPair, result: PromptResult) -> dict[str, Any]:
    agreement = overlap(pair)
    return {
        "kind": result.prompt.kind,
        "dice": _rounded(agreement.dice),
        "nsd": _rounded(agreement.nsd),
        "hd95_mm": _rounded(agreement.hd95_mm),
        "found": result.found,
        "found_ml": round(float(np.count_nonzero(pair.found)) * pair.voxel_ml, 3),
        "true_ml": round(float(np.count_nonzero(pair.truth)) * pair.voxel_ml, 3),
        "score": None if result.score is None else round(result.score, 4),
    }


def _lesion_row(pair: MaskPair) -> dict[str, Any]:
    lesions = [{"ml": round(lesion.ml, 3), "share": round(lesion.share, 4)} for lesion in true_lesions(pair)]
    return {"lesions": lesions, "false_positives": count_false_positives(pair)}


def _host(result: PromptResult, entry: CaseEntry, label: np.ndarray) -> np.ndarray | None:
    """Mask of the host organs that are annotated in this case."""
    structure = result.prompt.structure
    hosts = [name for name in (structure.hosts if structure else ()) if name in entry.targets]
    return np.isin(label, [label_id for name in hosts for label_id in entry.targets[name]]) if hosts else None


def _ranking_row(
    scan: Scan, result: PromptResult, truth: np.ndarray, host: np.ndarray | None, *, fast: bool
) -> dict[str, float]:
    rng = np.random.default_rng(_SEED)
    groups = {"tumor": tumor_voxels(truth, rng), "body": body_voxels(scan.volume, truth, rng)}
    if host is not None:
        groups["host"] = host_voxels(host, truth, scan.volume.spacing_mm, rng)
    # One call each for all groups: decoding is the work, not the voxels.
    voxels = np.concatenate(list(groups.values()))
    ends = np.cumsum([len(group) for group in groups.values()])[:-1]
    row = {}
    for prefix, scores in (
        ("", scan.sample_logits(result.prompt, voxels, fast=fast)),
        ("anomaly_", scan.sample_anomaly(voxels)),
    ):
        tumor, *others = np.split(scores, ends)
        for region, values in zip(list(groups)[1:], others, strict=True):
            if len(values):
                ranking = rank(tumor, values)
                row[f"{prefix}auroc_{region}"] = round(ranking.auroc, 5)
                row[f"{prefix}fpr95_{region}"] = round(ranking.fpr95, 5)
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
