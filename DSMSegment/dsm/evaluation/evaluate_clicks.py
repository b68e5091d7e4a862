"""Click evaluation on a labelled data set: accuracy by number of clicks, and clicks to a target accuracy."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dsm._version import __version__
from dsm.core.boxes import CroppedArray
from dsm.core.click import Click, corrects_text_mask
from dsm.core.volume import Volume
from dsm.errors import InputError
from dsm.evaluation.bootstrap import bootstrap_mean
from dsm.evaluation.click_baseline import GeodesicLook
from dsm.evaluation.evaluate import check_files, exact_prompt, read_case, selected_cases
from dsm.evaluation.mask_pair import MaskPair, overlap
from dsm.evaluation.montage import draw_montage
from dsm.evaluation.simulated_clicks import first_click, next_click
from dsm.inference.click_lesions import by_lesion
from dsm.inference.click_scan import ClickScan, ClickSegmenter
from dsm.inference.components import component_sizes, label_components
from dsm.inference.expected_volume import expected_ml
from dsm.inference.postprocess import NOTHING
from dsm.inference.segmenter import Segmenter
from dsm.io.manifest import CaseEntry, read_manifest

logger = logging.getLogger(__name__)

SMALLEST_ML = 0.3
PARTS = 3  # of a name in a case, the largest
MOST_CLICKS = 10
GOOD_DICE = 0.8
_REPORTED = (1, 2, 3, 5, 10)
_WORST = 0.1
# The largest that a first click may lie off the middle: as a share of the way from the deepest voxel to the border.
_FIRST_DEPTH, _NEXT_DEPTH = 0.5, 0.8


def evaluate_clicks(
    dataset_dir: Path | str,
    *,
    click_model: ClickSegmenter,
    clicks: int,
    model: Segmenter | None = None,
    cases: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    split: str | None = None,
    montages: Path | str | None = None,
    baseline: bool = True,
) -> dict[str, Any]:
    """Simulate clicks on every object of every case.

    Objects are connected parts of a label of at least 0.3 ml, the three largest of a case and name. Clicks lie on the
    native grid: the first inside the object, off its middle; each later one in the middle of the largest error.

    Args:
        dataset_dir: Folder with `dataset.json`, or this file.
        click_model: The click network.
        clicks: How many are scored, 1 to 10.
        model: Gives the text prior; None leaves it out.
        cases: Only these case ids.
        names: Only these names.
        split: `"validation"` or `"training"`; default both.
        montages: Folder for pictures of the worst tenth of the objects.
        baseline: Also click without a network (`dsm.evaluation.click_baseline`).

    Returns:
        The report, see docs/reference/evaluation.md.

    Raises:
        InputError: If nothing is left to evaluate, or a case or name does not exist.
        ImageError: If a file cannot be read, or a label does not lie on its image.
    """
    if not 1 <= clicks <= MOST_CLICKS:
        raise InputError(f"{clicks} clicks cannot be evaluated.", hint=f"Give 1 to {MOST_CLICKS}.")
    folder = Path(dataset_dir).resolve()
    folder = folder.parent if folder.is_file() else folder
    entries = selected_cases(read_manifest(folder), cases, names, split)
    check_files(entries)
    methods = ["with_text"] if model is not None else []
    methods += ["without_text", *(["baseline"] if baseline else [])]
    rows: list[dict[str, Any]] = []
    several: list[dict[str, Any]] = []
    worst = _Worst(Path(montages)) if montages is not None else None
    for entry in entries:
        volume, label = read_case(entry)
        openers = _openers(volume, click_model, model, methods)
        own, masks = click_rows(entry, volume, label, openers, clicks=clicks, names=names)
        rows += own
        several += several_rows(entry, volume, label, openers, names=names)
        if worst is not None:
            worst.keep(entry, own, masks, methods[0])
        if own:
            means = {method: np.mean([list(row[method]["dice"].values()) for row in own], axis=0) for method in methods}
            text = "; ".join(f"{method} {np.round(values, 3).tolist()}" for method, values in means.items())
            logger.info("%s: %d objects, Dice by clicks: %s", entry.case_id, len(own), text)
    if not rows:
        raise InputError("No object of 0.3 ml or more is left to click on.", hint="Check --cases and --prompts.")
    if worst is not None:
        worst.draw(len(rows))
    return {
        "model": {"name": click_model.name, "text": model.config.name if model else None, "dsm": __version__},
        "dataset": folder.name,
        "split": split or "all",
        "clicks": clicks,
        "methods": methods,
        **summarize_clicks(rows, methods),
        "objects": rows,
        "several_lesions": several,
    }


def _openers(
    volume: Volume, click_model: ClickSegmenter, model: Segmenter | None, methods: Sequence[str]
) -> dict[str, Callable[[str], Clicked]]:
    """Return the opener of each method for a structure."""

    def opened(name: str, text: CroppedArray | None = None) -> Clicked:
        return by_lesion(click_model.open(volume, text=text, expected_ml=expected_ml(name)), exact_prompt(name).kind)

    openers: dict[str, Callable[[str], Clicked]] = {}
    if model is not None:
        scan = model.encode(volume)

        def open_with_text(name: str) -> Clicked:
            prompt = exact_prompt(name)
            return opened(name, scan.segment([prompt])[0].mask if corrects_text_mask(prompt.kind) else None)

        openers["with_text"] = open_with_text
    openers["without_text"] = opened
    if "baseline" in methods:
        openers["baseline"] = lambda _: ClickScan.of(volume, GeodesicLook())
    return openers


class Clicked(Protocol):
    """Protocol of a volume that takes clicks."""

    def segment(self, clicks: Sequence[Click]) -> Any:
        """Return something with a `mask`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Object:
    case_id: str
    name: str
    mask: CroppedArray
    ml: float


def click_rows(
    entry: CaseEntry,
    volume: Volume,
    label: np.ndarray,
    methods: Mapping[str, Callable[[str], Clicked]],
    *,
    clicks: int,
    names: Sequence[str] | None = None,
) -> tuple[list[dict[str, Any]], list[tuple[CroppedArray, CroppedArray]]]:
    """Click on every object of a case by every method.

    Args:
        entry: The case.
        volume: Its image.
        label: Label ids `[I, J, K]`.
        methods: By name: a function from the structure's name to a `Clicked`.
        clicks: How many clicks are scored.
        names: Only these; default all annotated.

    Returns:
        A row an object: `case`, `name`, `ml`, and for each method `dice` and `nsd` after 1, 2, ... clicks, `noc80`,
        `seconds` a click. And a pair of masks an object: the truth, and what the first method found by `clicks`.
    """
    rows, masks = [], []
    for name, objects in _objects_by_name(entry, volume, label, names):
        for number, found in enumerate(objects):
            row: dict[str, Any] = {"case": entry.case_id, "name": name, "ml": round(found.ml, 2)}
            pairs = []
            for method, open_for in methods.items():
                rng = np.random.default_rng(zlib.crc32(f"{entry.case_id}/{name}/{number}".encode()))
                row[method], mask = _click_through(open_for(name), volume, found, rng, clicks)
                pairs.append((found.mask, mask))
            rows.append(row)
            masks.append(pairs[0])
    return rows, masks


def several_rows(
    entry: CaseEntry,
    volume: Volume,
    label: np.ndarray,
    methods: Mapping[str, Callable[[str], Clicked]],
    *,
    names: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Click once in each lesion of a case that has several of one name; arguments as in `click_rows`.

    Returns:
        A row a name: `case`, `name`, how many `lesions`, and for each method the `dice` of all of them together.
    """
    rows = []
    for name, lesions in _objects_by_name(entry, volume, label, names):
        if len(lesions) < 2 or corrects_text_mask(exact_prompt(name).kind):
            continue
        rng = np.random.default_rng(zlib.crc32(f"{entry.case_id}/{name}".encode()))
        clicks = [_first_click(volume, lesion, rng) for lesion in lesions]
        truth = reduce(CroppedArray.union, [lesion.mask for lesion in lesions])
        row: dict[str, Any] = {"case": entry.case_id, "name": name, "lesions": len(lesions)}
        for method, open_for in methods.items():
            row[method] = {"dice": _dice(MaskPair.of(truth, open_for(name).segment(clicks).mask, volume.spacing_mm))}
        rows.append(row)
    return rows


def _first_click(volume: Volume, target: _Object, rng: np.random.Generator) -> Click:
    voxel = first_click(target.mask.array != 0, rng, depth=_FIRST_DEPTH, spacing=volume.spacing_mm)
    return _click(volume, voxel, target.mask.offset_ijk, inside=True)


def _objects_by_name(
    entry: CaseEntry, volume: Volume, label: np.ndarray, names: Sequence[str] | None
) -> Iterator[tuple[str, list[_Object]]]:
    for name, label_ids in entry.targets.items():
        if names is None or name in names:
            yield name, _objects(entry, volume, name, np.isin(label, label_ids))


def _objects(entry: CaseEntry, volume: Volume, name: str, mask: np.ndarray) -> list[_Object]:
    crop = CroppedArray.from_mask(mask)
    if not crop.array.size:
        return []
    parts, count = label_components(crop.array)
    sizes = component_sizes(parts, crop.array != 0, count)
    found = []
    for part in np.argsort(-sizes, kind="stable")[:PARTS]:
        ml = volume.ml_of(sizes[part])
        if ml < SMALLEST_ML:
            break
        inner = CroppedArray.from_mask(parts == part, crop.offset_ijk)
        found.append(_Object(entry.case_id, name, CroppedArray(inner.array.copy(), inner.offset_ijk), ml))
    return found


def _click_through(
    scan: Clicked, volume: Volume, target: _Object, rng: np.random.Generator, clicks: int
) -> tuple[dict[str, Any], CroppedArray]:
    """Click until the mask has been good and `clicks` were made, or ten; the mask is that of `clicks`."""
    spacing = volume.spacing_mm
    made = [_first_click(volume, target, rng)]
    dice: list[float] = []
    nsd: list[float] = []
    seconds: list[float] = []
    shown = NOTHING
    while True:
        began = time.perf_counter()
        mask = scan.segment(made).mask
        seconds.append(time.perf_counter() - began)
        pair = MaskPair.of(target.mask, mask, spacing)
        dice.append(_dice(pair))
        shown = mask if len(dice) <= clicks else shown
        nsd.append(round(overlap(pair).nsd or 0.0, 4) if len(dice) in _REPORTED else float("nan"))
        if len(dice) >= MOST_CLICKS or (len(dice) >= clicks and max(dice) >= GOOD_DICE):
            break
        new = next_click(pair.truth, pair.found, rng, depth=_NEXT_DEPTH, spacing=spacing)
        if new is None:
            dice += [dice[-1]] * (clicks - len(dice))
            nsd += [1.0] * (clicks - len(nsd))
            break
        made.append(_click(volume, new[0], pair.box.start, inside=new[1]))
    good = next((n for n, value in enumerate(dice, start=1) if value >= GOOD_DICE), MOST_CLICKS)
    return {
        "dice": {str(n): round(dice[n - 1], 4) for n in _REPORTED if n <= clicks},
        "nsd": {str(n): nsd[n - 1] for n in _REPORTED if n <= clicks},
        "noc80": good,
        "seconds": round(float(np.mean(seconds)), 3),
        "clicks": [[*click.ras_mm, click.inside] for click in made[:clicks]],
    }, shown


def _click(volume: Volume, voxel: Sequence[int], offset: Sequence[int], *, inside: bool) -> Click:
    index = [v + o for v, o in zip(voxel, offset, strict=True)]
    r, a, s = (volume.affine @ [*index, 1.0])[:3].tolist()
    return Click((round(r, 3), round(a, 3), round(s, 3)), inside)


class _Worst:
    """Masks of the worst objects, drawn at the end.

    Args:
        folder: For one picture an object.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: list[tuple[float, str, CaseEntry, CroppedArray, CroppedArray]] = []

    def keep(
        self,
        entry: CaseEntry,
        rows: Sequence[Mapping[str, Any]],
        masks: Sequence[tuple[CroppedArray, CroppedArray]],
        method: str,
    ) -> None:
        """Remember the objects of a case."""
        for row, (truth, found) in zip(rows, masks, strict=True):
            dice = list(row[method]["dice"].values())[-1]
            self.objects.append((dice, f"{row['case']}-{row['name']}", entry, truth, found))

    def draw(self, num_objects: int) -> None:
        """Draw the worst tenth, at least one."""
        self.objects.sort(key=lambda item: item[0])
        for number, (_, title, entry, truth, found) in enumerate(self.objects[: max(1, round(_WORST * num_objects))]):
            volume, _label = read_case(entry)
            draw_montage(volume, {title: (truth, found)}, self.folder / f"{number:03d}-{title.replace(' ', '-')}.png")


def _dice(pair: MaskPair) -> float:
    total = np.count_nonzero(pair.truth) + np.count_nonzero(pair.found)
    return 2 * np.count_nonzero(pair.truth & pair.found) / total if total else 1.0


def summarize_clicks(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> dict[str, Any]:
    """Means and intervals: `{"labels": {name: ...}, "all": ...}`, each as `_summary`; the first method is on top.

    Intervals are of a bootstrap that draws cases; `n` counts objects.
    """
    names = dict.fromkeys(row["name"] for row in rows)
    return {
        "all": _methods(rows, methods),
        "labels": {name: _methods([row for row in rows if row["name"] == name], methods) for name in names},
    }


def _methods(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> dict[str, Any]:
    first, *others = methods
    return {**_summary(rows, first), **{method: _summary(rows, method) for method in others}}


def _summary(rows: Sequence[Mapping[str, Any]], method: str) -> dict[str, Any]:
    counts = rows[0][method]["dice"]
    return {
        "clicks": {
            n: {key: _interval(rows, [row[method][key][n] for row in rows]) for key in ("dice", "nsd")} for n in counts
        },
        "noc80": _interval(rows, [row[method]["noc80"] for row in rows]),
        "seconds_a_click": _interval(rows, [row[method]["seconds"] for row in rows]),
    }


def _interval(rows: Sequence[Mapping[str, Any]], values: Sequence[float]) -> dict[str, float]:
    by_case: dict[str, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        by_case.setdefault(row["case"], []).append(value)
    means = [float(np.mean(own)) for own in by_case.values()]
    weights = [float(len(own)) for own in by_case.values()]
    return bootstrap_mean(means, weights).as_dict() | {"n": len(values)}
