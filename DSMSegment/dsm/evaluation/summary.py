"""Aggregation of case rows into means with intervals, and paired comparison of two models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dsm.errors import InputError
from dsm.evaluation.bootstrap import Interval, bootstrap_mean, bootstrap_mean_of_columns
from dsm.evaluation.froc import sensitivity_at_few_false_positives
from dsm.evaluation.lesions import FOUND_SHARE

Row = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, Row]]

_RANKINGS = tuple(f"{metric}_{region}" for region in ("body", "host") for metric in ("auroc", "fpr95"))


def measures(row: Row) -> dict[str, tuple[float, float]]:
    """Return the metrics of one case for one name: {measure: (value, weight in the mean)}.

    Measures of the masks: `dice`, `nsd`, `hd95_mm`. Of presence: `presence_sensitivity` where the name occurs,
    `presence_specificity` and `false_positive_ml` where it does not. Of tumors: `lesion_sensitivity` (weighted by
    lesions), `false_positives`, `false_positives_tumor_free` (scans without it), `auroc_*`, `fpr95_*`, the same of the
    anomaly map alone, and `auroc_gain_*` over it.
    """
    occurs = row["true_ml"] > 0
    found = {key: row.get(key) for key in ("dice", "nsd", "hd95_mm", "false_positives")}
    if occurs:
        found["presence_sensitivity"] = float(row["found"])
    else:
        found["presence_specificity"] = float(not row["found"])
        found["false_positive_ml"] = row["found_ml"]
        found["false_positives_tumor_free"] = row.get("false_positives")
    for key in _RANKINGS:
        found[key] = row.get(key)
        found[f"anomaly_{key}"] = row.get(f"anomaly_{key}")
    for region in ("body", "host"):
        if f"auroc_{region}" in row:
            found[f"auroc_gain_{region}"] = row[f"auroc_{region}"] - row[f"anomaly_auroc_{region}"]
    values = {key: (float(value), 1.0) for key, value in found.items() if value is not None}
    if lesions := row.get("lesions"):
        share = float(np.mean([lesion["share"] >= FOUND_SHARE for lesion in lesions]))
        values["lesion_sensitivity"] = (share, float(len(lesions)))
    return values


def summarize(rows: Rows) -> dict[str, Any]:
    """Means and 95 % bootstrap intervals over cases.

    Args:
        rows: {case id: {name: row of `dsm.evaluation.case_rows`}}.

    Returns:
        `mean_dice` of the names that occur (None if none does) and `labels` {name: {`kind`, measure: `{mean, low, high,
        n}`}}; a name has the measures that at least one case has, and tumors have `num_lesions`
        and, where it was measured, `lesion_sensitivity_3fp` (see `dsm.evaluation.froc`).
    """
    by_name: dict[str, list[Row]] = {}
    for case in rows.values():
        for name, row in case.items():
            by_name.setdefault(name, []).append(row)
    labels: dict[str, dict[str, Any]] = {}
    for name, found in by_name.items():
        labels[name] = {"kind": found[0]["kind"], **_means(found)}
        if found[0]["kind"] == "tumor":
            labels[name]["num_lesions"] = sum(len(row["lesions"]) for row in found)
            if point := sensitivity_at_few_false_positives(found):
                labels[name]["lesion_sensitivity_3fp"] = point
    table = _dice_table([{name: row["dice"] for name, row in case.items()} for case in rows.values()])
    mean = bootstrap_mean_of_columns(table).as_dict() | {"names": table.shape[1]} if table.size else None
    return {"mean_dice": mean, "labels": labels}


def compare(report: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Difference of two reports, `report` minus `other`, on the cases and names that both have.

    Returns:
        `mean_dice` and `labels` as `summarize`, of the differences: a paired bootstrap.

    Raises:
        InputError: If they have no case in common.
    """
    labels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    differences: list[dict[str, float | None]] = []
    for case_id, names in report["cases"].items():
        dice: dict[str, float | None] = {}
        for name, row in names.items():
            theirs = other["cases"].get(case_id, {}).get(name)
            if theirs is None:
                continue
            mine, yours = measures(row), measures(theirs)
            for key in mine.keys() & yours.keys():
                difference = mine[key][0] - yours[key][0]
                labels.setdefault(name, {}).setdefault(key, []).append((difference, mine[key][1]))
            dice[name] = mine["dice"][0] - yours["dice"][0] if "dice" in mine.keys() & yours.keys() else None
        differences.append(dice)
    if not labels:
        raise InputError("The two reports have no case and name in common.", hint="Evaluate both on the same data.")
    table = _dice_table([dice for dice in differences if dice])
    return {
        "this": report["model"]["name"],
        "other": other["model"]["name"],
        "mean_dice": bootstrap_mean_of_columns(table).as_dict() if table.size else None,
        "labels": {
            name: {key: _interval(pairs).as_dict() for key, pairs in sorted(found.items())}
            for name, found in labels.items()
        },
    }


def _means(rows: list[Row]) -> dict[str, dict[str, float]]:
    columns: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for key, pair in measures(row).items():
            columns.setdefault(key, []).append(pair)
    return {key: _interval(pairs).as_dict() for key, pairs in columns.items()}


def _interval(pairs: list[tuple[float, float]]) -> Interval:
    values, weights = zip(*pairs, strict=True)
    return bootstrap_mean(values, weights)


def _dice_table(cases: list[dict[str, float | None]]) -> np.ndarray:
    """`(cases, names)`, NaN where a case does not have a name; names that never occur are left out."""
    names = list(dict.fromkeys(name for case in cases for name, dice in case.items() if dice is not None))
    cells = [[case.get(name) for name in names] for case in cases]
    table = np.array([[np.nan if cell is None else cell for cell in line] for line in cells], dtype=np.float64)
    return table.reshape(len(cases), len(names))
