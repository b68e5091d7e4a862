"""Ablation study of one recipe: `python -m benchmarks.ablation PLAN --out FOLDER`."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.plain_baseline import PlainSegmenter, PlainTrainer
from dsm.evaluation.evaluate import evaluate_dataset
from dsm.inference.segmenter import Segmenter
from dsm.text.bank import EmbeddingBank
from dsm.text.bank_file import SHARED_BANK
from dsm.text.embed import PromptEmbedder
from dsm.training.recipe import Recipe
from dsm.training.train import Trainer

logger = logging.getLogger(__name__)


def main(path: Path, *, out: Path, text_bank: Path = SHARED_BANK) -> None:
    """Train and evaluate the missing variants, then write `ablation.json` and `ablation.md`.

    Args:
        path: YAML with `recipe` (the base), `variants` (name → changes of the base; `network: segresnet` replaces the
            network), `organs` (data set of the first column) and `tumor` (data set and name of the others).
        out: A folder a variant.
        text_bank: Folder of the embedding bank.
    """
    plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    root = path.resolve().parents[1]
    bank = EmbeddingBank.load(text_bank)
    rows = {}
    for name, changes in plan["variants"].items():
        folder = out / name.replace(" ", "-")
        done = folder / "result.json"
        if not done.is_file():  # a killed comparison goes on where it stopped
            done.write_text(json.dumps(_run(plan, dict(changes or {}), folder, root, bank), indent=1))
        rows[name] = json.loads(done.read_text(encoding="utf-8"))
    (out / "ablation.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (out / "ablation.md").write_text(table(rows, plan["organs"], *plan["tumor"]), encoding="utf-8")


def _run(plan: Mapping[str, Any], changes: dict[str, Any], folder: Path, root: Path, bank: EmbeddingBank) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    plain = changes.pop("network", "dsm") == "segresnet"
    (folder / "recipe.yaml").write_text(yaml.safe_dump(merged(plan["recipe"], changes)), encoding="utf-8")
    recipe = Recipe.load(folder / "recipe.yaml")
    kind = PlainTrainer if plain else Trainer
    trainer = kind(recipe, folder, data_root=root / recipe.data_root, bank=bank)
    trainer.run()
    embedder = PromptEmbedder(trainer.bank, tower=trainer.bank.tower)
    segmenter = (PlainSegmenter if plain else Segmenter)(trainer.averaged_net.eval(), trainer.config, embedder)
    result: dict[str, Any] = {"steps": trainer.step}
    if isinstance(trainer, PlainTrainer):
        result |= {"kflop_per_voxel": {k: v / 1e3 for k, v in vars(trainer.flops).items()}}
    for data_set in dict.fromkeys((plan["organs"], plan["tumor"][0])):
        report = evaluate_dataset(
            root / recipe.data_root / data_set, model=segmenter, out=folder / f"{data_set}.json", split="validation"
        )
        result[data_set] = {"mean_dice": report["mean_dice"], "labels": report["labels"]}
    return result


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with some keys replaced; dictionaries key by key."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def table(rows: Mapping[str, Any], organs: str, tumor_set: str, tumor: str) -> str:
    """Markdown table: a row per variant; mean, 95 % interval and n of each measure."""
    lines = [
        f"| Variant | {organs}: mean Dice | {tumor}: AUROC in the host + 10 mm | … of the anomaly map alone |",
        "|---|---|---|---|",
    ]
    for name, row in rows.items():
        measured = row[tumor_set]["labels"].get(tumor, {})
        cells = [row[organs]["mean_dice"], measured.get("auroc_host"), measured.get("anomaly_auroc_host")]
        lines.append(f"| {name} | {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: Mapping[str, float] | None) -> str:
    if not value or value.get("mean") is None:
        return "–"
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f}), n = {value['n']}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    main(options.plan, out=options.out)
