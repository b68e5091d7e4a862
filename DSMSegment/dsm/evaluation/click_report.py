"""Click evaluation report: JSON for programs, Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsm.evaluation.report_text import cell
from dsm.io.atomic import atomic_output

_NOTES = """Objects are connected parts of a label of at least 0.3 ml, at most three a case and name. Means over
objects, 95 % bootstrap intervals over cases, number of objects. NoC: clicks to Dice 0.8, 10 where it takes more.
Native grid. Research use only, not a medical device."""


def write_click_report(report: Mapping[str, Any], out: Path) -> None:
    """Write `out` (JSON) and, beside it, the same as Markdown."""
    with atomic_output(out) as part:
        part.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_output(out.with_suffix(".md")) as part:
        title = f"# Clicks: {report['model']['name']} on {report['dataset']}"
        texts = [title, click_table(report), several_lesions_text(report), _NOTES.replace("\n", " ")]
        part.write_text("\n\n".join(filter(None, texts)) + "\n", encoding="utf-8")


def click_table(report: Mapping[str, Any]) -> str:
    """Markdown table, a row per name and method."""
    counts = list(report["all"]["clicks"])
    head = ["Name", "Method", *(f"Dice, {n} click{'s' if n != '1' else ''}" for n in counts), "NoC 0.8", "s a click"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    first, *others = report["methods"]
    for name, label in {**report["labels"], "all": report["all"]}.items():
        for method in (first, *others):
            own = label if method == first else label[method]
            cells = [
                *(cell(own["clicks"][n]["dice"]) for n in counts),
                cell(own["noc80"]),
                cell(own["seconds_a_click"]),
            ]
            lines.append("| " + " | ".join([name, method, *cells]) + " |")
    return "\n".join(lines)


def several_lesions_text(report: Mapping[str, Any]) -> str:
    """One line a method on cases with several lesions of a name; empty where there are none."""
    rows = report["several_lesions"]
    return "\n".join(
        f"One click in each of {sum(row['lesions'] for row in rows)} lesions of {len(rows)} cases, {method}: mean Dice "
        f"{sum(row[method]['dice'] for row in rows) / len(rows):.2f}"
        for method in (report["methods"] if rows else ())
    )
