"""Evaluation report as a figure: every case a dot, with mean and interval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dsm.evaluation.summary import measures

_ORGAN, _TUMOR, _MAP = "tab:blue", "tab:red", "tab:gray"
_AUROC = ("auroc_host", "anomaly_auroc_host", "auroc_body", "anomaly_auroc_body")
_AUROC_TITLES = ("prompt, host organ", "anomaly map, host organ", "prompt, whole body", "anomaly map, whole body")


def draw_report(report: Mapping[str, Any], path: Path) -> None:
    """Draw Dice, surface Dice and HD95 of all names, and AUROC of the tumors.

    Args:
        report: From `evaluate_dataset`.
        path: PNG to write.
    """
    labels = report["labels"]
    ranked = [name for name, label in labels.items() if any(key in label for key in _AUROC)]
    titles = {"dice": "Dice", "nsd": "Surface Dice, 2 mm", "hd95_mm": "HD95 (mm)"}
    num_panels = len(titles) + bool(ranked)
    figure = Figure(figsize=(4 * num_panels + 1, 1.6 + 0.32 * max(len(labels), 4 * len(ranked))), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, num_panels, squeeze=False)[0]
    for axes, (key, title) in zip(panels, titles.items(), strict=False):
        for row, (name, label) in enumerate(labels.items()):
            color = _TUMOR if label["kind"] == "tumor" else _ORGAN
            _draw_row(axes, row, _values(report, name, key), label.get(key), color)
        _finish(axes, title, [f"{name} (n = {_count(label)})" for name, label in labels.items()])
        if key != "hd95_mm":
            axes.set_xlim(-0.02, 1.02)
    for axes in panels[1 : len(titles)]:
        axes.set_yticklabels([])
    if ranked:
        _draw_rankings(panels[-1], report, ranked)
    figure.suptitle(
        f"{report['model']['name']} on {report['dataset']}, {len(report['cases'])} cases (mean, 95 % interval)"
    )
    figure.savefig(path, dpi=110, format="png")


def _draw_rankings(axes: Axes, report: Mapping[str, Any], names: list[str]) -> None:
    ticks: list[str] = []
    for name in names:
        for key, title in zip(_AUROC, _AUROC_TITLES, strict=True):
            if key in report["labels"][name]:
                color = _MAP if key.startswith("anomaly") else _TUMOR
                _draw_row(axes, len(ticks), _values(report, name, key), report["labels"][name][key], color)
                ticks.append(f"{name}: {title}")
    axes.axvline(0.5, color="black", linewidth=0.5, linestyle=":")
    _finish(axes, "AUROC of voxels", ticks)
    axes.set_xlim(-0.02, 1.02)


def _draw_row(axes: Axes, row: int, values: list[float], interval: Mapping[str, float] | None, color: str) -> None:
    axes.plot(values, np.full(len(values), row), "o", color=color, alpha=0.35, markersize=4, markeredgewidth=0)
    if interval is not None:
        axes.plot([interval["low"], interval["high"]], [row, row], color=color, linewidth=1.5)
        axes.plot([interval["mean"]], [row], "D", color=color, markersize=5)


def _finish(axes: Axes, title: str, ticks: list[str]) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_yticks(range(len(ticks)), ticks, fontsize=8)
    axes.set_ylim(len(ticks) - 0.5, -0.5)
    axes.grid(axis="x", linewidth=0.3)


def _values(report: Mapping[str, Any], name: str, key: str) -> list[float]:
    rows = [case[name] for case in report["cases"].values() if name in case]
    return [found[key][0] for found in map(measures, rows) if key in found]


def _count(label: Mapping[str, Any]) -> int:
    return int(label["dice"]["n"]) if "dice" in label else 0
