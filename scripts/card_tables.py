"""Print the accuracy tables of a model card: `python scripts/card_tables.py REPORT...`, reports of `dsm evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def table(report: dict[str, Any]) -> str:
    """Return Dice of each structure and case, with the mean and its 95 % interval, as Markdown."""
    cases = report["cases"]
    lines = [
        f"| Structure | {' | '.join(cases)} | mean (95 % interval) | n |",
        "|---" * (len(cases) + 3) + "|",
    ]
    for name, values in report["labels"].items():
        each = [cases[case].get(name, {}).get("dice") for case in cases]
        cells = " | ".join("–" if value is None else f"{value:.3f}" for value in each)
        dice = values["dice"]
        lines.append(
            f"| {name} | {cells} | {dice['mean']:.3f} ({dice['low']:.3f} to {dice['high']:.3f}) | {dice['n']} |"
        )
    lines.append(f"| **mean** |{'  |' * len(cases)} **{report['mean_dice']['mean']:.3f}** | |")
    return "\n".join(lines)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(f"{table(json.loads(Path(path).read_text(encoding='utf-8')))}\n")
