"""Evaluate a model on a labelled data set: Dice per case and name on the native grid."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice

from dsm._version import __version__
from dsm.core.volume import Volume
from dsm.errors import InputError
from dsm.evaluation.bootstrap import bootstrap_interval
from dsm.evaluation.montage import draw_montage
from dsm.inference.result import PromptResult
from dsm.inference.segmenter import Segmenter
from dsm.io.atomic import atomic_output
from dsm.io.image import read_volume
from dsm.io.manifest import CaseEntry, read_manifest

logger = logging.getLogger(__name__)


def evaluate_dataset(
    dataset_dir: Path | str,
    *,
    model: str,
    out: Path | str,
    cases: Sequence[str] | None = None,
    prompts: Sequence[str] | None = None,
    split: str | None = None,
    montages: Path | str | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Segment every case with the names annotated in it and compare with its labels.

    Args:
        dataset_dir: Folder with `dataset.json`.
        model: Name or folder of the model.
        out: Report to write (JSON).
        cases: Only these case ids.
        prompts: Only these names; each must be annotated in the data set.
        split: `"validation"` or `"training"`; default both.
        montages: Folder for one PNG a case.
        device: Where to run.

    Returns:
        The report: `mean_dice` (mean of the names' means), `labels` {name: dice, low, high, n}, `cases` {id: {name:
        dice, volumes, score}}, `model`. A name that a case does not contain has no Dice; its falsely found volume is
        given instead, and counts in `labels` as `false_positive_ml`.

    Raises:
        InputError: If nothing is left to evaluate, or a case or name does not exist.
    """
    entries = _selected(read_manifest(dataset_dir), cases, prompts, split)
    segmenter = Segmenter.from_pretrained(model, device=device)
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in entries:
        began = time.perf_counter()
        rows[entry.case_id] = _evaluate_case(segmenter, entry, prompts, montages)
        dice = [row["dice"] for row in rows[entry.case_id].values() if row["dice"] is not None]
        mean = float(np.mean(dice)) if dice else float("nan")
        logger.info("%s: mean Dice %.3f, %.1f s", entry.case_id, mean, time.perf_counter() - began)
    report = summarize(rows)
    report["model"] = {"name": segmenter.config.name, "dsm": __version__}
    report["dataset"] = Path(dataset_dir).name
    with atomic_output(Path(out)) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def summarize(rows: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Means and 95 % bootstrap intervals over cases.

    Args:
        rows: {case id: {name: {"dice": float or None, "found_ml": float, ...}}}.
    """
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    labels: dict[str, dict[str, Any]] = {}
    for name in names:
        here = [row[name] for row in rows.values() if name in row]
        dice = [item["dice"] for item in here if item["dice"] is not None]
        absent = [item["found_ml"] for item in here if item["dice"] is None]
        labels[name] = {"dice": None, "n": len(dice)}
        if dice:
            low, high = bootstrap_interval(dice)
            labels[name] |= {"dice": float(np.mean(dice)), "low": low, "high": high}
        if absent:
            labels[name] |= {"false_positive_ml": float(np.mean(absent)), "n_absent": len(absent)}
    means = [label["dice"] for label in labels.values() if label["dice"] is not None]
    return {"mean_dice": float(np.mean(means)) if means else None, "labels": labels, "cases": rows}


@dataclass(frozen=True, slots=True)
class _Compared:
    result: PromptResult
    found: np.ndarray
    truth: np.ndarray


def _evaluate_case(
    segmenter: Segmenter, entry: CaseEntry, prompts: Sequence[str] | None, montages: Path | str | None
) -> dict[str, dict[str, Any]]:
    volume = read_volume(entry.image, modality=entry.modality)
    label = read_volume(entry.label, modality=entry.modality).array
    names = [name for name in entry.targets if prompts is None or name in prompts]
    compared = {}
    for name, result in zip(names, segmenter.encode(volume).segment(names), strict=True):
        compared[name] = _Compared(result, result.full_mask(), np.isin(label, entry.targets[name]))
    if montages is not None:
        pairs = {name: (item.truth, item.found) for name, item in compared.items()}
        draw_montage(volume, pairs, Path(montages) / f"{entry.case_id}.png")
    return {name: _row(volume, item) for name, item in compared.items()}


def _row(volume: Volume, item: _Compared) -> dict[str, Any]:
    dice = None
    if item.truth.any():
        pair = [
            torch.from_numpy(np.ascontiguousarray(mask != 0))[None, None].float() for mask in (item.found, item.truth)
        ]
        dice = float(compute_dice(*pair)[0, 0])
    ml = volume.voxel_volume_mm3 / 1000
    return {
        "dice": dice,
        "found_ml": round(float(np.count_nonzero(item.found)) * ml, 2),
        "true_ml": round(float(np.count_nonzero(item.truth)) * ml, 2),
        "score": round(item.result.score, 4),
    }


def _selected(
    entries: list[CaseEntry], cases: Sequence[str] | None, prompts: Sequence[str] | None, split: str | None
) -> list[CaseEntry]:
    known_cases = {entry.case_id for entry in entries}
    known_names = {name for entry in entries for name in entry.targets}
    for wanted, known, what in ((cases, known_cases, "case"), (prompts, known_names, "annotated name")):
        for item in wanted or ():
            if item not in known:
                raise InputError(f"The data set has no {what} {item!r}.", hint=f"It has: {', '.join(sorted(known))}.")
    if split not in {None, "validation", "training"}:
        raise InputError(f"Unknown split {split!r}.", hint="Use validation or training.")
    chosen = [
        entry
        for entry in entries
        if (cases is None or entry.case_id in cases) and (split is None or entry.validation == (split == "validation"))
    ]
    if not chosen:
        raise InputError("No case is left to evaluate.", hint="Check --cases and --split.")
    return chosen
