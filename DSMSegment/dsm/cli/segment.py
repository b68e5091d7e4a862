"""`dsm segment`: prompts in, segments out."""

from __future__ import annotations

import argparse
import shlex
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.cli.click_arguments import add_click_arguments
from dsm.cli.dicomweb_arguments import add_dicomweb_arguments, local_scan, open_server, scan_source
from dsm.cli.model_argument import add_model_argument
from dsm.cli.output_check import check_distinct, check_output, check_output_folder, check_space, require_package
from dsm.cli.precision_argument import add_precision_argument
from dsm.cli.progress_bar import SEGMENT_STAGES, ProgressBar
from dsm.cli.prompt_argument import add_prompt_argument
from dsm.cli.segment_options import add_segment_options
from dsm.core.name_status import NameKind, ResultLabel, result_label
from dsm.errors import ImageError, InputError
from dsm.io.formats import DICOM_SEG, IN_ARCHIVES, RTSTRUCT, SUFFIXES, described, format_of, no_series

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dsm.cli.computation import Computed
    from dsm.core.prompt import Prompt
    from dsm.core.result import PromptResult
    from dsm.core.volume import Volume

# Compressed masks take far less than a hundredth of their voxels, compressed probabilities about half of their bytes.
_BYTES_PER_VOXEL = 1 / 64
_BYTES_PER_PROBABILITY = 2

# Folders that a message names.
_MAX_NAMED = 3


def add_parser(subparsers: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "segment",
        epilog='Example: dsm segment scan.nii.gz --prompt "liver; left kidney" --output out.seg.nrrd',
        parents=parents,
        help="segment what prompts name",
        description="Segment what prompts name. The image is encoded once, however many prompts there are.",
    )
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=scan_source,
        help="NIfTI, NRRD or MHA file, DICOM series folder, or DICOMweb address of a series",
    )
    add_prompt_argument(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help=f"{described()}; not needed with --send or --estimate",
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="let a server (`dsm serve`) segment with its own model, by the token of $DSM_REMOTE_TOKEN: a scan of this "
        "computer is sent there, a series at an address is fetched by the server from its archive",
    )
    parser.add_argument(
        "-y", "--yes", action="store_true", help="agree that the scan is sent to --server, without being asked"
    )
    parser.add_argument(
        "--send", action="store_true", help="store the result, by default a DICOM SEG, on the DICOMweb server of INPUT"
    )
    parser.add_argument("--report", metavar="FILE", type=Path, help="also write what was found and how, as .json")
    parser.add_argument("--probabilities", metavar="DIR", type=Path, help="also write a probability map a prompt")
    parser.add_argument("--uncertainty", metavar="DIR", type=Path, help="also write an uncertainty map a prompt")
    parser.add_argument("--seed", type=int, default=0, help="of the diffusion prompts (default: %(default)s)")
    add_model_argument(parser)
    add_segment_options(parser)
    add_click_arguments(parser)
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
    add_dicomweb_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Segment a scan of this computer or of a DICOMweb server, here or there, and send the result if asked to."""
    source = options.input
    if options.server is not None:
        from dsm.cli.server_segment import check_server_options, segment_in_archive

        check_server_options(options)
        if not isinstance(source, Path):
            return segment_in_archive(options)
    if options.send and isinstance(source, Path):
        raise InputError(
            "--send needs the DICOMweb address of a series as INPUT.",
            code="dicomweb.address",
            hint="Send the result of a local series by `dsm dicomweb send FILE --to ADDRESS`.",
        )
    if options.output is None and not (options.send or options.estimate):
        raise InputError("There is no file for the result.", hint="Give -o FILE.")
    if options.send and options.output is not None and not format_of(options.output).needs_series:
        storable = " or ".join(one.label for one in IN_ARCHIVES)
        raise InputError(
            f"{options.output} is no {storable}, which is what --send stores.",
            hint=f"Give -o FILE{DICOM_SEG.suffix} or FILE{RTSTRUCT.suffix}, or leave it out.",
        )
    if isinstance(source, Path) and source.is_dir() and options.series is None:
        options.input = _series_folder(source)
    with tempfile.TemporaryDirectory(prefix="dsm-segment-") as folder, local_scan(options) as fetch:
        if options.output is None:
            options.output = Path(folder) / ("result.dcm" if options.send else "result.seg.nrrd")
        code = _run(options, fetch, str(source))
        if options.send and not options.estimate:
            open_server(options, source).store(options.output)
            print(f"stored on {source.server}")
    return code


def _series_folder(folder: Path) -> Path:
    """Return the folder of the only DICOM series below a folder that has no files itself; any other folder as it is."""
    if any(path.is_file() for path in folder.iterdir()):
        return folder
    from dsm.cohort.case import find_cases

    try:
        found = sorted({case.path for case in find_cases(folder, out=folder / ".none") if case.series_uid})
    except ImageError:  # none: reading it says so
        return folder
    if len(found) > 1:
        raise ImageError(
            f"{folder} has series in {len(found)} folders.",
            code="bad_image.several_series",
            hint=f"Give one of them ({', '.join(map(str, found[:_MAX_NAMED]))}{' …' * (len(found) > _MAX_NAMED)}), or "
            "segment all by `dsm batch`.",
        )
    return found[0] if found else folder


def _run(options: argparse.Namespace, fetch: Callable[[], None], source: str) -> int:
    """Check the options, then segment and write."""
    from dsm.cli.computation import load_segmenter, local_computation
    from dsm.text.clicked_prompts import with_clicks
    from dsm.text.prompt import parse_prompts

    began = time.perf_counter()
    # None of this needs torch, whose import takes seconds; a wrong path is answered at once.
    no_names = not options.prompt and (options.clicks or options.estimate)
    prompts = with_clicks([] if no_names else parse_prompts(options.prompt), options.clicks)
    _check_outputs(options, prompts)
    stages, computation = SEGMENT_STAGES, local_computation
    if options.server is not None:
        from dsm.cli.server_computation import SERVER_STAGES, server_computation

        stages, computation = SERVER_STAGES, server_computation
    with computation(options, prompts) as compute:
        fetch()
        with ProgressBar(stages) as progress:
            progress("load", 0, 4)
            volume = _read(options)
            _check_room(options, volume)
            if (chosen := format_of(options.output)).needs_series:
                chosen.check_source(volume, _series_files(options))
            progress("load", 1, 4)
            if options.estimate:
                estimate = load_segmenter(options, progress).estimate(volume)
                print(f"about {_rounded(estimate.encode_s)} s and {_rounded(estimate.memory_bytes / 1e9)} GB")
                return 0
            computed = compute(volume, progress)
            progress("write", 0, 1)
            files = _write_images(options, computed, volume)
            if options.report is not None:
                from dsm.cli.run_report import run_report
                from dsm.io.json_file import write_json

                total = time.perf_counter() - began
                write_json(options.report, run_report(computed, volume, source=source, files=files, total_s=total))
            progress("write", 1, 1)
    for note in volume.notes:
        print(f"note: {note.text}")
    print_table(computed.results)
    if options.server is None:  # a server has its one model
        _name_other_models(computed.results, volume.modality)
    return 0


def _rounded(value: float) -> str:
    """Return an estimate with the two digits that mean something, from 0.1 on."""
    return f"{float(f'{max(value, 0.1):.2g}'):g}"


def _check_outputs(options: argparse.Namespace, prompts: Sequence[Prompt]) -> None:
    check_output(options.output, suffixes=SUFFIXES)
    chosen = format_of(options.output)
    if chosen.package:
        require_package(chosen.package, extra=chosen.extra)
    if chosen.needs_series and options.input.is_file():
        raise no_series(chosen, str(options.input), hint="Give the folder of a series, or write .seg.nrrd.")
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


def _write_images(options: argparse.Namespace, computed: Computed, volume: Volume) -> list[Path]:
    from dsm.inference.segment_metadata import segment_records
    from dsm.io.probabilities import write_probabilities

    results = computed.results
    files: list[Path] = []
    if options.probabilities is not None:
        maps = [(result.prompt.name, result.probability) for result in results if result.probability is not None]
        files += write_probabilities(options.probabilities, maps, volume)
    if options.uncertainty is not None:
        maps = [(result.prompt.name, result.uncertainty) for result in results if result.uncertainty is not None]
        files += write_probabilities(options.uncertainty, maps, volume)
    records = segment_records(results, computed.provenance)
    chosen = format_of(options.output)
    series_files = _series_files(options) if chosen.needs_series else ()
    written = chosen.write(options.output, records, volume, series_files)
    return [options.output, *files, *written[1:]]


def _series_files(options: argparse.Namespace) -> tuple[str, ...]:
    from dsm.io.dicom import choose_series

    return choose_series(options.input, series_uid=options.series, modality=options.modality).files


def _name_other_models(results: Sequence[PromptResult], modality: str) -> None:
    """Print which other models have learned names that this one has not."""
    from dsm.models.learned_elsewhere import model_that_learned
    from dsm.models.library import ModelLibrary

    models = ModelLibrary().models()
    for result in results:
        status = result.name_status
        if status is None or status.kind is NameKind.LEARNED:  # by this model or, if it is installed, by another one
            continue
        if model := model_that_learned(result.prompt, models, modality=modality):
            print(f"{model} has learned {result.prompt.name}: give --model {shlex.quote(model)}.")


def print_table(results: Sequence[PromptResult]) -> None:
    """Print a line for each result, and as what a German, French or Spanish name was read."""
    from dsm.text.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    labels = [result_label(result.source, found=result.found, warnings=result.warnings) for result in results]
    width = max(len("prompt"), *(len(result.prompt.name) for result in results))
    label_width = max(map(len, ("result", *labels)))
    print(f"{'prompt':{width}}  {'result':{label_width}}  volume ml  score  seconds")
    for result, label in zip(results, labels, strict=True):
        score = "–" if result.score is None else f"{result.score:.2f}"
        numbers = f"{result.volume_ml:9.1f}  {score:>5}  {result.seconds:7.2f}"
        print(f"{result.prompt.name:{width}}  {label:{label_width}}  {numbers}")
        if reading := vocabulary.reading(result.prompt.text):
            print(f"{'':{width}}  note: '{result.prompt.text}' was read as '{reading}'.")
        if result.model:
            print(f"{'':{width}}  note: Segmented by {result.model}, which has learned it.")
        for warning in result.warnings:
            print(f"{'':{width}}  note: {warning}")
    if ResultLabel.NOT_KNOWN in labels:
        print("`dsm vocabulary --kind learned` lists what the model has learned; --guess marks the network's guesses.")
