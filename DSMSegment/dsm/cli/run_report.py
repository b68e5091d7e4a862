"""Machine-readable report of `dsm segment`: versions, model, prompts, times, files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm._version import __version__

if TYPE_CHECKING:
    from dsm.cli.computation import Computed
    from dsm.core.result import PromptResult
    from dsm.core.volume import Volume

REPORT_VERSION = 1


def run_report(
    computed: Computed,
    volume: Volume,
    *,
    source: str,
    files: Sequence[Path],
    total_s: float,
) -> dict[str, Any]:
    """Describe a run.

    Args:
        computed: Results, and what made them.
        volume: What was segmented.
        source: Path or address of the scan.
        files: What was written.
        total_s: Time of the whole run.
    """
    from dsm.inference.lesion_list import axial_slices

    provenance, slices = computed.provenance, axial_slices(volume.affine)
    seconds = {"encode": computed.encode_s, "total": total_s}
    return {
        "report_version": REPORT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"dsm": __version__, **computed.versions},
        "device": provenance.device,
        "precision": computed.precision,
        "model": {"name": provenance.model, "sha256": provenance.model_sha256 or None},
        "input": {
            "path": source,
            "shape": list(volume.shape),
            "spacing_mm": list(volume.spacing_mm),
            "affine_ras": volume.affine.tolist(),
            "modality": volume.modality,
            "notes": [{"code": note.code, "text": note.text} for note in volume.notes],
        },
        "seconds": {stage: None if value is None else round(value, 3) for stage, value in seconds.items()},
        "files": [str(file) for file in files],
        "lesion_slices": asdict(slices) | {"axis": "ijk"[slices.axis], "note": slices.note},
        "prompts": [_described(result, volume) for result in computed.results],
    }


def _described(result: PromptResult, volume: Volume) -> dict[str, Any]:
    status = result.name_status
    return {
        "prompt": result.prompt.text,
        "name": result.prompt.name,
        "kind": result.prompt.kind,
        "name_kind": status.kind if status else None,
        "learned_name": status.learned_name or None if status else None,
        "rule": status.rule if status else None,
        "near": list(status.near) if status else [],
        "model": {"name": result.model, "sha256": result.model_sha256} if result.model else None,
        "guess": result.guess,
        "source": result.source,
        "clicks": [{"ras_mm": list(click.ras_mm), "inside": click.inside} for click in result.prompt.clicks],
        "found": result.found,
        "score": None if result.score is None else round(result.score, 4),
        "volume_ml": round(result.volume_ml, 3),
        "lesions": _lesions(result, volume),
        "threshold": result.threshold,
        "seconds": round(result.seconds, 3),
        "warnings": list(result.warnings),
        "suggestions": list(result.prompt.suggestions),
    }


def _lesions(result: PromptResult, volume: Volume) -> list[dict[str, Any]] | None:
    """Return the lesions of a result, the largest first; None for an organ."""
    from dsm.inference.lesion_list import list_lesions

    if result.prompt.kind != "tumor":
        return None
    return [asdict(lesion.rounded()) for lesion in list_lesions(result.mask, volume.array, volume.affine)]
