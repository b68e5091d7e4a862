"""Cost of our own pipeline: from file to masks, per prompt, and by scan size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from dsm.bench.phantom import phantom_ct
from dsm.bench.stopwatch import Stopwatch, peak_rss_bytes
from dsm.core.boxes import Index3
from dsm.core.name_status import NameKind
from dsm.core.options import SegmentOptions
from dsm.core.precision import AUTO
from dsm.core.prompt import Prompt
from dsm.core.result import PromptResult
from dsm.core.segment_tags import Provenance
from dsm.inference.segment_metadata import segment_records
from dsm.inference.segmenter import Segmenter
from dsm.io.image import read_volume
from dsm.io.segmentation import write_labelmap
from dsm.models.store import find_model
from dsm.models.weights import load_model
from dsm.text.bank import EmbeddingBank
from dsm.text.organ_sets import ORGANS
from dsm.text.prompt import parse_prompts

# One of each way to a query: an organ of the set, a structure outside of it, a tumor.
NEXT_PROMPTS = ("spleen", "thyroid gland", "liver tumor")
# A name that the model has not learned is not decoded by default and would cost nothing.
_DECODE_ALL = SegmentOptions(guess=True)
_FLOP_EDGE = 64


def fastest_precision(model: str) -> str:
    """Return the precision that `"auto"` means on this processor."""
    return Segmenter.from_pretrained(model, precision=AUTO).precision


def whole_run(model: str, scan: Path, out: Path, *, precision: str) -> dict[str, Any]:
    """Segment 25 organs of a scan, from its file to a label map; then prompt once more, in three ways.

    Args:
        model: Name or folder.
        scan: `.nii.gz`.
        out: Folder for the label map.
        precision: Of encoding and prompts, one of `PRECISIONS`.

    Returns:
        A row of the report, and what later prompts took.
    """
    clock = Stopwatch()
    with clock.stage("read"):
        volume = read_volume(scan)
    with clock.stage("model"):
        segmenter = Segmenter.from_pretrained(model, precision=precision)
    with clock.stage("encode"):
        encoded = segmenter.encode(volume)
    with clock.stage("prompts"):
        results = encoded.segment(ORGANS, _DECODE_ALL)
    with clock.stage("write"):
        write_labelmap(out / "dsm.nii.gz", segment_records(results, Provenance(model)), volume)
    row = _row(clock, model, encoded.grid.padded_shape, precision)
    return {
        **row,
        "found": sum(result.found for result in results),
        "decoded": sum(_is_decoded(result) for result in results),
        "next_prompt_cpu_s": {name: _least(partial(encoded.segment, name, _DECODE_ALL)) for name in NEXT_PROMPTS},
    }


def prompt_costs(model: str, counts: Sequence[int], *, precision: str) -> dict[str, Any]:
    """Encode the phantom and prompt for different numbers of structures.

    Returns:
        CPU seconds: `"encode"`, and of each count of prompts.
    """
    segmenter = Segmenter.from_pretrained(model, precision=precision)
    volume = phantom_ct()
    clock = Stopwatch()
    with clock.stage("encode"):
        encoded = segmenter.encode(volume)
    prompts = _many_prompts(model, max(counts))
    return {
        "encode": clock.total.cpu_s,
        "prompts": {str(count): _least(partial(encoded.segment, prompts[:count], _DECODE_ALL)) for count in counts},
    }


def size_costs(model: str, depths: Sequence[int], *, precision: str) -> dict[str, Any]:
    """Encode phantoms of different numbers of slices and segment the 25 organs.

    Returns:
        For each depth, CPU seconds of `"encode"` and `"prompts"`.
    """
    segmenter = Segmenter.from_pretrained(model, precision=precision)
    costs = {}
    for depth in depths:
        volume = phantom_ct((512, 512, depth))
        clock = Stopwatch()
        with clock.stage("encode"):
            encoded = segmenter.encode(volume)
        with clock.stage("prompts"):
            encoded.segment(ORGANS, _DECODE_ALL)
        costs[str(depth)] = {stage: cost.cpu_s for stage, cost in clock.stages.items()}
        del encoded
    return costs


def _is_decoded(result: PromptResult) -> bool:
    return result.guess or (result.name_status is not None and result.name_status.kind is NameKind.LEARNED)


def _row(clock: Stopwatch, model: str, shape: Index3, precision: str) -> dict[str, Any]:
    per_voxel = _flops_per_voxel(model)
    return {
        "name": "dsm",
        "title": f"{Path(model).name}, 25 organs",
        "source": f"body box at 1.5 mm, one pass, {precision}",
        "cpu_s": clock.total.cpu_s,
        "wall_s": clock.total.wall_s,
        "peak_rss_bytes": peak_rss_bytes(),
        "kflop_per_voxel": per_voxel / 1e3,
        "tflop": per_voxel * math.prod(shape) / 1e12,
        "windows": 1,
        "windows_run": 1,
        "stages_cpu_s": {stage: cost.cpu_s for stage, cost in clock.stages.items()},
    }


@torch.inference_mode()
def _flops_per_voxel(model: str) -> float:
    """Count FLOPs of the network as trained: the counter does not know all operators of the fast one."""
    net, config = load_model(find_model(model))
    x = torch.zeros(1, config.num_channels, _FLOP_EDGE, _FLOP_EDGE, _FLOP_EDGE)
    with FlopCounterMode(display=False) as counter:
        net.encode(x)
    return float(counter.get_total_flops()) / _FLOP_EDGE**3


def _least(job: Callable[[], object]) -> float:
    """Return the CPU seconds of the cheaper of two runs: the first one meets cold caches."""
    costs = []
    for _ in range(2):
        clock = Stopwatch()
        with clock.stage("job"):
            job()
        costs.append(clock.total)
    return min(cost.cpu_s for cost in costs)


def _many_prompts(model: str, count: int) -> list[Prompt]:
    """Return the first names with text embeddings in the model: organs, tumors, other structures."""
    names = EmbeddingBank.of_model(find_model(model)).names
    prompts = {prompt.name: prompt for name in (*ORGANS, *names) for prompt in parse_prompts(name)}
    return list(prompts.values())[:count]
