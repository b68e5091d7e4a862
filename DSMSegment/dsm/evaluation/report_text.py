"""Evaluation report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MASKS = {
    "dice": "Dice",
    "nsd": "NSD 2 mm",
    "hd95_mm": "HD95 (mm)",
    "presence_sensitivity": "Found where it is",
    "presence_specificity": "Not found where it is not",
    "false_positive_ml": "ml found where it is not",
}
_TUMORS = {
    "num_lesions": "Lesions",
    "lesion_sensitivity": "Lesions found",
    "false_positives": "False positives a scan",
    "false_positives_tumor_free": "… tumor-free scans",
    "lesion_sensitivity_3fp": "Lesions found at 3 false positives a scan",
    "auroc_host": "AUROC host",
    "fpr95_host": "FPR95 host",
    "anomaly_auroc_host": "AUROC host, anomaly map alone",
    "auroc_gain_host": "Gain",
    "auroc_body": "AUROC body",
    "fpr95_body": "FPR95 body",
    "anomaly_auroc_body": "AUROC body, anomaly map alone",
    "auroc_gain_body": "Gain",
}
_NOTES = """Means over cases with their 95 % bootstrap interval (1000 resamples of cases) and the number of cases.
Native grid. HD95 needs both masks: missed structures are not in it. A lesion is a connected part of the label, found if
a tenth of it is in the mask; a false positive is a connected part of the mask that touches no label. AUROC and FPR95
rank voxels by the logit, in the host organ dilated by 10 mm and in the whole body; "gain" is the paired difference to
the anomaly map alone. How each is computed: docs/reference/evaluation.md. Research use only, not a medical device."""


def report_markdown(report: Mapping[str, Any]) -> str:
    """Write a report for people: tables of means, then every case."""
    labels = report["labels"]
    tumors = {name: label for name, label in labels.items() if label["kind"] == "tumor"}
    parts = [
        f"# {report['model']['name']} on {report['dataset']}",
        f"{len(report['cases'])} cases (split: {report['split']}), dsm {report['model']['dsm']}"
        f"{', without visual prompts' if report['fast'] else ''}"
        f"{', as if unseen: ' + ', '.join(report['unseen']) if report.get('unseen') else ''}.",
    ]
    if mean := report["mean_dice"]:
        parts.append(f"Mean Dice of {mean['names']} names: **{cell(mean)}**.")
    parts += ["## Masks", _table(labels, _MASKS)]
    if tumors:
        parts += ["## Tumors", _turned(tumors, _TUMORS)]
    if comparison := report.get("comparison"):
        parts += [f"## Minus {comparison['other']}", *_comparison(comparison)]
    parts += ["## Cases", _cases(report["cases"]), _NOTES.replace("\n", " ")]
    return "\n\n".join(parts) + "\n"


def cell(interval: Mapping[str, float] | int | None) -> str:
    """A mean with its interval, `0.950 (0.930 to 0.960), n = 4`, or a count."""
    if interval is None:
        return "–"
    if isinstance(interval, int):
        return str(interval)
    mean, low, high = (_number(interval[key]) for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high}), n = {interval['n']:.0f}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _table(labels: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """Table with a row per name; columns without values are left out."""
    shown = {key: title for key, title in columns.items() if any(key in label for label in labels.values())}
    rows = [[name, *(cell(label.get(key)) for key in shown)] for name, label in labels.items()]
    return _markdown(["Name", *shown.values()], rows)


def _turned(labels: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """Transposed table: tumors are few and have many measures."""
    rows = [
        [title, *(cell(label.get(key)) for label in labels.values())]
        for key, title in columns.items()
        if any(key in label for label in labels.values())
    ]
    return _markdown(["", *labels], rows)


def _comparison(comparison: Mapping[str, Any]) -> list[str]:
    keys = dict.fromkeys(key for label in comparison["labels"].values() for key in label)
    columns = {key: (_MASKS | _TUMORS).get(key, key) for key in (*_MASKS, *_TUMORS) if key in keys}
    mean = f"Mean Dice: {cell(comparison['mean_dice'])}. Paired by case; above zero is more than the other model has."
    return [mean, _table(comparison["labels"], columns)]


def _cases(cases: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for case_id, names in cases.items():
        for name, row in names.items():
            numbers = [row.get(key) for key in ("dice", "nsd", "hd95_mm", "true_ml", "found_ml", "score", "auroc_host")]
            rows.append([case_id, name, *("–" if number is None else _number(number) for number in numbers)])
    return _markdown(
        ["Case", "Name", "Dice", "NSD 2 mm", "HD95 (mm)", "True ml", "Found ml", "Score", "AUROC host"], rows
    )


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
