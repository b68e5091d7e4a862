"""Evaluate a model on a labelled data set, on the grid of each image."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dsm._version import __version__
from dsm.core.boxes import CroppedArray
from dsm.core.options import SegmentOptions
from dsm.core.prompt import Prompt
from dsm.core.volume import Volume
from dsm.errors import ImageError, InputError
from dsm.evaluation.case_rows import case_rows
from dsm.evaluation.montage import draw_montage
from dsm.evaluation.report_figure import draw_report
from dsm.evaluation.report_text import report_markdown
from dsm.evaluation.summary import compare, summarize
from dsm.inference.segmenter import Segmenter
from dsm.io.atomic import atomic_output
from dsm.io.image import read_volume
from dsm.io.manifest import CaseEntry, read_manifest
from dsm.text.prompt import parse_prompts

logger = logging.getLogger(__name__)

# Of an image and its label: rounding of headers, not a shift (mm).
_SAME_PLACE_MM = 0.1


def evaluate_dataset(
    dataset_dir: Path | str,
    *,
    model: str | Segmenter,
    out: Path | str,
    cases: Sequence[str] | None = None,
    prompts: Sequence[str] | None = None,
    absent: Sequence[str] = (),
    unseen: Sequence[str] = (),
    split: str | None = None,
    montages: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fast: bool = False,
    guess: bool = False,
    compare_with: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Segment every case with the names annotated in it and compare with its labels.

    Args:
        dataset_dir: Folder with `dataset.json`, or this file.
        model: Name or folder of the model, or one that is ready.
        out: Report to write (JSON); the same as Markdown (`.md`) and as a picture (`.png`) go beside it.
        cases: Only these case ids.
        prompts: Only these names; each must be annotated in the data set.
        absent: Names that are asked, too, and occur in no case: what is found is false. None may be annotated.
        unseen: Trained names to answer as if no label of them had been shown.
        split: `"validation"` or `"training"`; default both.
        montages: Folder for one PNG a case.
        device: Where to run.
        precision: Of the encoding, see `Segmenter.from_pretrained`.
        fast: Without the visual prompts of tumors.
        guess: Let the network guess at names that it has not learned; by default they have no mask.
        compare_with: Another report; the paired differences to it are added as `comparison`.

    Returns:
        The report, see docs/reference/evaluation.md.

    Raises:
        InputError: If nothing is left to evaluate, or a case or name does not exist.
        ImageError: If a file cannot be read, or a label does not lie on its image.
    """
    folder = Path(dataset_dir).resolve()
    folder = folder.parent if folder.is_file() else folder
    entries = selected_cases(read_manifest(folder), cases, prompts, split)
    check_files(entries)
    entries = [_with_absent_names(entry, absent) for entry in entries]
    if prompts is not None:
        prompts = [*prompts, *absent]
    segmenter = (
        model if isinstance(model, Segmenter) else Segmenter.from_pretrained(model, device=device, precision=precision)
    )
    segmenter = _as_if_unseen(segmenter, unseen) if unseen else segmenter
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    seconds: dict[str, dict[str, float]] = {}
    others: dict[str, str] = {}
    for entry in entries:
        rows[entry.case_id], seconds[entry.case_id], by_name = _evaluate_case(
            segmenter, entry, prompts, montages, fast=fast, guess=guess
        )
        others |= by_name
        dice = [row["dice"] for row in rows[entry.case_id].values() if row["dice"] is not None]
        mean = float(np.mean(dice)) if dice else float("nan")
        logger.info("%s: mean Dice %.3f, %.1f s", entry.case_id, mean, sum(seconds[entry.case_id].values()))
    report = {
        "model": {"name": segmenter.config.name, "dsm": __version__, "precision": segmenter.precision},
        "other_models": others,
        "dataset": folder.name,
        "split": split or "all",
        "fast": fast,
        "guess": guess,
        "unseen": list(unseen),
        **summarize(rows),
        "seconds": seconds,
        "cases": rows,
    }
    if compare_with is not None:
        report["comparison"] = compare(report, compare_with)
    write_report(report, Path(out))
    return report


def write_report(report: dict[str, Any], out: Path) -> None:
    """Write `out` (JSON) and, beside it, `.md` and `.png`."""
    with atomic_output(out) as part:
        part.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_output(out.with_suffix(".md")) as part:
        part.write_text(report_markdown(report), encoding="utf-8")
    with atomic_output(out.with_suffix(".png")) as part:
        draw_report(report, part)


def check_files(entries: Sequence[CaseEntry]) -> None:
    """Check that all files exist, before hours of work."""
    for entry in entries:
        for path in (entry.image, entry.label):
            if not path.exists():
                raise ImageError(f"{path} of {entry.case_id} does not exist.", hint="Check it with `dsm data check`.")


def _as_if_unseen(segmenter: Segmenter, names: Sequence[str]) -> Segmenter:
    for name in names:
        if name not in segmenter.config.trained:
            raise InputError(
                f"{name!r} is not a trained name.", hint=f"Trained: {', '.join(segmenter.config.trained)}."
            )
    config = replace(segmenter.config, trained=tuple(n for n in segmenter.config.trained if n not in names))
    return Segmenter(
        segmenter.net,
        config,
        segmenter.embedder,
        entry=segmenter.entry,
        precision=segmenter.precision,
        calibration=segmenter.calibration,
    )


def _with_absent_names(entry: CaseEntry, names: Sequence[str]) -> CaseEntry:
    """The case with names that have no voxels."""
    for name in names:
        if name in entry.targets:
            raise InputError(f"{name!r} is annotated in {entry.case_id}.", hint="Leave it out of the absent names.")
    return replace(entry, targets={**entry.targets, **dict.fromkeys(names, ())})


def _evaluate_case(
    segmenter: Segmenter,
    entry: CaseEntry,
    prompts: Sequence[str] | None,
    montages: Path | str | None,
    *,
    fast: bool,
    guess: bool,
) -> tuple[dict[str, dict[str, Any]], dict[str, float], dict[str, str]]:
    """Rows by name, the seconds that the network and the metrics took, and the names that another model segmented."""
    volume, label = read_case(entry)
    wanted = {name: exact_prompt(name) for name in entry.targets if prompts is None or name in prompts}
    began = time.perf_counter()
    scan = segmenter.encode(volume)
    results = dict(
        zip(wanted, scan.segment(list(wanted.values()), SegmentOptions(fast=fast, guess=guess)), strict=True)
    )
    network = time.perf_counter() - began
    rows = case_rows(entry, label, scan, results, fast=fast)
    metrics = time.perf_counter() - began - network
    if montages is not None:
        masks = {
            name: (CroppedArray.from_mask(np.isin(label, entry.targets[name])), result.mask)
            for name, result in results.items()
        }
        draw_montage(volume, masks, Path(montages) / f"{entry.case_id}.png")
    others = {name: result.model for name, result in results.items() if result.model}
    return rows, {"network": round(network, 2), "metrics": round(metrics, 2)}, others


def read_case(entry: CaseEntry) -> tuple[Volume, np.ndarray]:
    """Read image and label ids of a case.

    Raises:
        InputError: If the label does not lie on the image.
    """
    volume = read_volume(entry.image, modality=entry.modality)
    label = read_volume(entry.label, modality=entry.modality)
    if label.shape != volume.shape or abs(label.affine - volume.affine).max() > _SAME_PLACE_MM:
        raise InputError(
            f"The label of {entry.case_id} does not lie on its image.",
            code="geometry.label",
            hint="Find all such cases with `dsm data check`.",
        )
    return volume, label.array


def exact_prompt(name: str) -> Prompt:
    """Parse a name of a manifest; `InputError` if it means two structures."""
    found = parse_prompts([name])
    if len(found) > 1:
        both = " and ".join(prompt.name for prompt in found)
        raise InputError(f"{name!r} in the manifest means {both}.", hint="Give each a label of its own.")
    return found[0]


def selected_cases(
    entries: list[CaseEntry], cases: Sequence[str] | None, prompts: Sequence[str] | None, split: str | None
) -> list[CaseEntry]:
    """Choose cases by id, annotated name and split; `InputError` if one does not exist or none is left."""
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
        if (cases is None or entry.case_id in cases)
        and (split is None or entry.validation == (split == "validation"))
        and (prompts is None or any(name in entry.targets for name in prompts))
    ]
    if not chosen:
        raise InputError("No case is left to evaluate.", hint="Check --cases and --split.")
    return chosen
