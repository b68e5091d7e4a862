"""Key ratios of the benchmark, and their targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# At most this, or at least where the number is a fraction of the peak.
BARS = {
    "run_vs_totalsegmentator_3mm": 1 / 10,
    "run_vs_dsm_reference": 1 / 20,
    "next_prompt_vs_encode": 1 / 20,
    "hundred_prompts_vs_encode": 1 / 2,
    "fraction_of_conv_peak": 0.6,
    "peak_rss_gb": 4.0,
}
_AT_LEAST = ("fraction_of_conv_peak",)
_RUN_VS = {"run_vs_totalsegmentator_3mm": "totalsegmentator-3mm", "run_vs_dsm_reference": "dsm-reference"}


def ratios(report: Mapping[str, Any]) -> dict[str, float]:
    """Compute the ratios, all of CPU seconds but the last two; those with another pipeline where it was run.

    `fraction_of_conv_peak` is what the network computes an encoding's CPU second, cropping and resampling included,
    divided by the measured peak of plain convolutions. `peak_rss_gb` is in 10⁹ bytes.

    Args:
        report: Of `run_bench`, with `"rows"`, `"curves"` and `"machine"`.
    """
    rows = {row["name"]: row for row in report["rows"]}
    own, prompts = rows["dsm"], report["curves"]["prompts"]
    encode = own["stages_cpu_s"]["encode"]
    return {
        **{name: own["cpu_s"] / rows[peer]["cpu_s"] for name, peer in _RUN_VS.items() if peer in rows},
        "next_prompt_vs_encode": max(own["next_prompt_cpu_s"].values()) / encode,
        "hundred_prompts_vs_encode": prompts["prompts"]["100"] / prompts["encode"],
        "fraction_of_conv_peak": 1e3 * own["tflop"] / encode / report["machine"]["conv_peak_gflops"],
        "peak_rss_gb": own["peak_rss_bytes"] / 1e9,
    }


def passes(name: str, value: float) -> bool:
    """Return whether a ratio reaches its target."""
    return value >= BARS[name] if name in _AT_LEAST else value <= BARS[name]
