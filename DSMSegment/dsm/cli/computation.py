"""Computation of `dsm segment` on this computer, and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from dsm.cli.segment_options import segment_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from dsm.core.options import SegmentOptions
    from dsm.core.prompt import Prompt
    from dsm.core.result import PromptResult
    from dsm.core.segment_tags import Provenance
    from dsm.core.volume import Volume
    from dsm.inference.segmenter import Segmenter
    from dsm.progress import ProgressCallback


@dataclass(frozen=True, slots=True)
class Computed:
    """Results of a run and what made them.

    Args:
        results: One a prompt.
        provenance: Model and device, or server.
        versions: Of the programs that computed, by name.
        precision: Of the encoding; None where a server chose it.
        encode_s: Time of the encodings by all models in s, 0 without one; None where a server took it.
    """

    results: list[PromptResult]
    provenance: Provenance
    versions: dict[str, Any]
    precision: str | None = None
    encode_s: float | None = None


#: Segments the prompts in a volume, and calls back with its progress.
Compute = Callable[["Volume", "ProgressCallback"], Computed]


@contextmanager
def local_computation(options: argparse.Namespace, prompts: Sequence[Prompt]) -> Iterator[Compute]:
    """Yield the computation by a model of this computer, once it is known that it can do it.

    Raises:
        DSMError: If PyTorch or the model is missing, or the model takes no clicks.
    """
    from dsm.core.local_computing import check_torch
    from dsm.models.store import find_model, verify_model

    check_torch()
    verify_model(find_model(options.model)).check_clicks(prompts)
    yield partial(_compute, options, prompts)


def load_segmenter(options: argparse.Namespace, progress: ProgressCallback) -> Segmenter:
    """Load the model on the device and in the precision of the arguments."""
    from dsm.inference.segmenter import Segmenter

    return Segmenter.from_pretrained(
        options.model, device=options.device, precision=options.precision, progress=progress
    )


def wanted_options(options: argparse.Namespace) -> SegmentOptions:
    """Return the options of the prompts, with the maps that are written."""
    return segment_options(
        options,
        probabilities=options.probabilities is not None,
        uncertainty=options.uncertainty is not None,
    )


def _compute(
    options: argparse.Namespace, prompts: Sequence[Prompt], volume: Volume, progress: ProgressCallback
) -> Computed:
    from dsm.cli.info import installed_version
    from dsm.core.segment_tags import Provenance
    from dsm.inference.visual_prompt import Sampling

    segmenter = load_segmenter(options, progress)
    scan = segmenter.open(volume)
    results = scan.segment(prompts, wanted_options(options), sampling=Sampling(seed=options.seed), progress=progress)
    digest = segmenter.entry.digest if segmenter.entry else ""
    return Computed(
        results,
        Provenance(segmenter.config.name, digest, device=str(segmenter.device)),
        {"torch": installed_version("torch")},
        segmenter.precision,
        scan.encode_seconds,
    )
