"""Benchmark report as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_OWN, _OTHER = "tab:blue", "tab:gray"


def draw_bench(report: Mapping[str, Any], path: Path) -> None:
    """Draw CPU seconds of all pipelines, and ours against prompts and slices.

    Args:
        report: Of `run_bench`.
        path: PNG to write.
    """
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    bars, prompts, slices = figure.subplots(1, 3, width_ratios=(2, 1, 1))
    _draw_bars(bars, report["rows"])
    curve = report["curves"]["prompts"]
    counts = [int(count) for count in curve["prompts"]]
    prompts.plot(counts, list(curve["prompts"].values()), "o-", color=_OWN, label="prompts")
    prompts.axhline(curve["encode"], color="black", linewidth=0.8, linestyle=":", label="encoding")
    _finish(prompts, "on an encoded scan", "prompts")
    curve = report["curves"]["slices"]
    depths = [int(depth) for depth in curve]
    slices.plot(depths, [cost["encode"] for cost in curve.values()], "o-", color=_OWN, label="encoding")
    slices.plot(depths, [cost["prompts"] for cost in curve.values()], "s-", color="tab:orange", label="25 organs")
    _finish(slices, "and with the size of the scan", "slices of 512×512")
    figure.savefig(path, dpi=110, format="png")


def _draw_bars(axes: Axes, rows: list[Mapping[str, Any]]) -> None:
    titles = [row["title"] for row in rows]
    costs = [row["cpu_s"] for row in rows]
    bars = axes.barh(titles, costs, color=[_OWN if row["name"] == "dsm" else _OTHER for row in rows])
    axes.bar_label(bars, [f"{cost:.0f}" for cost in costs], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(1, 4 * max(costs))
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds, file to file (log)")
    axes.set_title("512×512×300 CT", fontsize=10)


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(label)
    axes.set_ylabel("CPU seconds")
    axes.set_ylim(bottom=0)
    axes.grid(linewidth=0.3)
    axes.legend(fontsize=8)
