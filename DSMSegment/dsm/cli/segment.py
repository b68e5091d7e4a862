"""`dsm segment`: prompts in, segments out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.cli.output_check import check_distinct, check_output, check_output_folder, check_space, require_package
from dsm.cli.precision_argument import add_precision_argument
from dsm.cli.progress_bar import ProgressBar
from dsm.cli.prompt_argument import add_prompt_argument
from dsm.cli.segment_options import add_segment_options, segment_options
from dsm.errors import InputError
from dsm.io.formats import SUFFIXES, described, format_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsm.core.prompt import Prompt
    from dsm.core.result import PromptResult
    from dsm.core.volume import Volume
    from dsm.inference.segmenter import Segmenter

# Compressed masks take far less than a hundredth of their voxels, compressed probabilities about half of their bytes.
_BYTES_PER_VOXEL = 1 / 64
_BYTES_PER_PROBABILITY = 2


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "segment",
        parents=parents,
        help="segment what prompts name",
        description="Segment what prompts name. The image is encoded once, however many prompts there are.",
    )
    parser.add_argument("input", metavar="INPUT", type=Path, help="NIfTI, NRRD or MHA file, or a DICOM series folder")
    add_prompt_argument(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help=described(),
    )
    parser.add_argument("--report", metavar="FILE", type=Path, help="also write what was found and how, as .json")
    parser.add_argument("--probabilities", metavar="DIR", type=Path, help="also write a probability map a prompt")
    parser.add_argument("--uncertainty", metavar="DIR", type=Path, help="also write an uncertainty map a prompt")
    parser.add_argument("--seed", type=int, default=0, help="of the diffusion prompts (default: %(default)s)")
    parser.add_argument("--model", default="dsm-small", help="name or folder (default: %(default)s)")
    add_segment_options(parser)
    parser.add_argument("--series", metavar="UID", help="which DICOM series, where the folder holds several")
    parser.add_argument("--modality", choices=("CT", "MR"), help="by default what the file says or looks like")
    parser.add_argument(
        "--orientation", metavar="LETTERS", help="axis directions, e.g. LPS, of a NIfTI file that does not say them"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps or auto (default: %(default)s)")
    add_precision_argument(parser)
    parser.add_argument(
        "--estimate", action="store_true", help="only say how long the encoding would take, and how much memory"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the options, then segment and write."""
    from dsm.core.local_computing import check_torch
    from dsm.models.store import find_model, verify_model
    from dsm.text.prompt import parse_prompts

    began = time.perf_counter()
    # None of this needs torch, whose import takes seconds; a wrong path is answered at once.
    prompts = parse_prompts(options.prompt)
    check_torch()
    _check_outputs(options, prompts)
    verify_model(find_model(options.model))
    with ProgressBar() as progress:
        progress("load", 0, 4)
        volume = _read(options)
        _check_room(options, volume)
        if format_of(options.output).needs_series:
            from dsm.io.dicom_seg import check_source

            check_source(volume, _series_files(options))
        progress("load", 1, 4)
        from dsm.inference.segmenter import Segmenter
        from dsm.inference.visual_prompt import Sampling

        segmenter = Segmenter.from_pretrained(
            options.model, device=options.device, precision=options.precision, progress=progress
        )
        if options.estimate:
            estimate = segmenter.estimate(volume)
            print(f"about {estimate.encode_s:.1f} s and {estimate.memory_bytes / 1e9:.1f} GB")
            return 0
        scan = segmenter.encode(volume, progress=progress)
        results = scan.segment(
            prompts,
            segment_options(
                options,
                probabilities=options.probabilities is not None,
                uncertainty=options.uncertainty is not None,
            ),
            sampling=Sampling(seed=options.seed),
            progress=progress,
        )
        progress("write", 0, 1)
        files = _write_images(options, results, volume, segmenter)
        if options.report is not None:
            from dsm.cli.run_report import run_report, write_json

            seconds = {"encode": scan.encode_seconds, "total": time.perf_counter() - began}
            report = run_report(results, volume, segmenter, input_path=options.input, files=files, seconds=seconds)
            write_json(options.report, report)
        progress("write", 1, 1)
    for note in volume.notes:
        print(f"note: {note.text}")
    _print_table(results)
    return 0


def _check_outputs(options: argparse.Namespace, prompts: Sequence[Prompt]) -> None:
    check_output(options.output, suffixes=SUFFIXES)
    chosen = format_of(options.output)
    if chosen.package:
        require_package(chosen.package, extra=chosen.extra)
    if chosen.needs_series and options.input.is_file():
        raise InputError(
            f"{options.input} is no DICOM series, so there is nothing that a DICOM SEG could refer to.",
            code="input.no_dicom",
            hint="Give the folder of a series, or write .seg.nrrd.",
        )
    for companion in chosen.files(options.output)[1:]:
        check_output(companion, suffixes=(chosen.companion_suffix,))
    if options.report is not None:
        check_output(options.report, suffixes=(".json",))
    for folder in (options.probabilities, options.uncertainty):
        if folder is not None:
            check_output_folder(folder)
    inputs = sorted(options.input.iterdir()) if options.input.is_dir() else [options.input]
    check_distinct(_outputs(options, prompts), [path for path in inputs if path.is_file()])


def _outputs(options: argparse.Namespace, prompts: Sequence[Prompt]) -> list[tuple[str, Path]]:
    """Return all output files with a description of each."""
    companions = format_of(options.output).files(options.output)[1:]
    outputs = [("--output", options.output), *(("the file beside --output", path) for path in companions)]
    if options.report is not None:
        outputs.append(("--report", options.report))
    if options.probabilities is not None or options.uncertainty is not None:
        from dsm.io.probabilities import file_names

        names = file_names([prompt.name for prompt in prompts])
        for what, folder in (("--probabilities", options.probabilities), ("--uncertainty", options.uncertainty)):
            if folder is not None:
                outputs += [(what, folder / name) for name in names]
    return outputs


def _read(options: argparse.Namespace) -> Volume:
    from dsm.io.image import read_volume

    volume: Volume = read_volume(
        options.input, modality=options.modality, series_uid=options.series, orientation=options.orientation
    )
    return volume


def _check_room(options: argparse.Namespace, volume: Volume) -> None:
    num_voxels = volume.array.size
    check_space(options.output, int(_BYTES_PER_VOXEL * num_voxels))
    for folder in (options.probabilities, options.uncertainty):
        if folder is not None:
            check_space(folder, _BYTES_PER_PROBABILITY * num_voxels)


def _write_images(
    options: argparse.Namespace, results: list[PromptResult], volume: Volume, segmenter: Segmenter
) -> list[Path]:
    from dsm.inference.segment_metadata import segment_records
    from dsm.io.probabilities import write_probabilities

    files: list[Path] = []
    if options.probabilities is not None:
        maps = [(result.prompt.name, result.probability) for result in results if result.probability is not None]
        files += write_probabilities(options.probabilities, maps, volume)
    if options.uncertainty is not None:
        maps = [(result.prompt.name, result.uncertainty) for result in results if result.uncertainty is not None]
        files += write_probabilities(options.uncertainty, maps, volume)
    digest = segmenter.entry.digest if segmenter.entry else ""
    records = segment_records(results, model=segmenter.config.name, model_sha256=digest, device=str(segmenter.device))
    chosen = format_of(options.output)
    series_files = _series_files(options) if chosen.needs_series else ()
    written = chosen.write(options.output, records, volume, series_files)
    return [options.output, *files, *written[1:]]


def _series_files(options: argparse.Namespace) -> tuple[str, ...]:
    from dsm.io.dicom import choose_series

    return choose_series(options.input, series_uid=options.series, modality=options.modality).files


def _print_table(results: list[PromptResult]) -> None:
    width = max(len("prompt"), *(len(result.prompt.name) for result in results))
    print(f"{'prompt':{width}}  found    volume ml  score  seconds")
    for result in results:
        numbers = f"{result.volume_ml:11.1f}  {result.score:5.2f}  {result.seconds:7.2f}"
        print(f"{result.prompt.name:{width}}  {_found(result):7}{numbers}")
        for warning in result.warnings:
            print(f"{'':{width}}  note: {warning}")


def _found(result: PromptResult) -> str:
    """Return `yes`, `no`, or how the answer differs from one of a learned name: `unknown`, `guess`, `check`."""
    kind = result.name_status.kind if result.name_status else "learned"
    if kind == "unknown" and not result.guess:
        return "unknown"
    if not result.found:
        return "no"
    if result.guess:
        return "guess"
    return "check" if kind == "related" else "yes"
