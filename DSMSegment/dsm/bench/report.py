"""Benchmark report as Markdown and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsm.bench.ratios import BARS, passes
from dsm.core.precision import AUTO


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return ratios, table and curves as text."""
    return "\n\n".join([_heading(report), _ratios(report), _rows(report), _curves(report)]) + "\n"


def write_report(report: Mapping[str, Any], folder: Path) -> None:
    """Write `bench.json`, `bench.md` and `bench.png` (which needs matplotlib) into a folder."""
    from dsm.bench.figure import draw_bench  # noqa: PLC0415  (matplotlib is no dependency of the table)

    folder.mkdir(exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "bench.md").write_text(to_markdown(report), encoding="utf-8")
    draw_bench(report, folder / "bench.png")


def _heading(report: Mapping[str, Any]) -> str:
    machine, shape = report["machine"], report["volume"]["shape"]
    spacing = "×".join(f"{mm:g}" for mm in report["volume"]["spacing_mm"])
    first, last = report["own_runs_cpu_s"]
    chosen = " (auto: the fastest on this processor)" if report["requested_precision"] == AUTO else ""
    return (
        f"# Bench, {report['plan']}\n\n"
        f"Synthetic CT {'×'.join(map(str, shape))} at {spacing} mm, {machine['threads']} thread(s) of "
        f"{machine['cores']} cores ({machine['processor']}), torch {report['versions']['torch']}, load "
        f"{machine['load_before']:.1f} at the start, {report['seconds']:.0f} s in all. Our network in "
        f"{report['precision']}{chosen}; convolution peak, in float32, {machine['conv_peak_gflops']:.0f} GFLOP/s. "
        f"Our own run at the start and at the end: {first:.1f} and {last:.1f} CPU s."
    )


def _ratios(report: Mapping[str, Any]) -> str:
    lines = ["| ratio | measured | bar | reached |", "|---|---|---|---|"]
    for name, value in report["ratios"].items():
        lines.append(f"| {name} | {value:.3f} | {BARS[name]:.3g} | {'yes' if passes(name, value) else 'no'} |")
    return "\n".join(lines)


def _rows(report: Mapping[str, Any]) -> str:
    lines = [
        "| from file to file | CPU s | wall s | peak RSS GB | kFLOP/voxel | TFLOP | windows (measured) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        scaled = row["windows_run"] < row["windows"]
        lines.append(
            f"| {row['title']} ({row['source']}) | {row['cpu_s']:.1f} | {'~' if scaled else ''}{row['wall_s']:.1f} "
            f"| {row['peak_rss_bytes'] / 1e9:.2f} | {row['kflop_per_voxel']:.0f} | {row['tflop']:.2f} "
            f"| {row['windows']} ({row['windows_run']}) |"
        )
    lines += [
        "",
        "Other networks have random weights; their windows that were not measured are taken to cost as much as the "
        "cheapest that was. Reading, resampling and writing are ours for all.",
    ]
    return "\n".join(lines)


def _curves(report: Mapping[str, Any]) -> str:
    prompts, slices = report["curves"]["prompts"], report["curves"]["slices"]
    own = report["rows"][0]
    stages = ", ".join(f"{name} {cost:.2f}" for name, cost in own["stages_cpu_s"].items())
    later = ", ".join(f"{name} {cost:.2f}" for name, cost in own["next_prompt_cpu_s"].items())
    lines = [
        f"CPU seconds of the stages: {stages}. {own['found']} organs were found. One more prompt: {later}.",
        "",
        "| prompts | CPU s |",
        "|---|---|",
        *(f"| {count} | {cost:.2f} |" for count, cost in prompts["prompts"].items()),
        "",
        "| slices | encode, CPU s | 25 organs, CPU s |",
        "|---|---|---|",
        *(f"| {depth} | {cost['encode']:.2f} | {cost['prompts']:.2f} |" for depth, cost in slices.items()),
    ]
    return "\n".join(lines)
