"""The training loop: recipe in, model folder out; resumes from its last checkpoint."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from dsm._version import __version__
from dsm.errors import ConfigError
from dsm.io.manifest import MANIFEST, CaseEntry, read_manifest
from dsm.models.config import SCHEMA_VERSION, ModelConfig
from dsm.models.store import write_manifest
from dsm.models.weights import save_model
from dsm.nn.dsm_net import DSMNet
from dsm.text.bank import EmbeddingBank
from dsm.training.cases import Case, load_case
from dsm.training.crops import CropSampler
from dsm.training.objective import Names, training_loss
from dsm.training.recipe import Phase, Recipe
from dsm.training.validation import validation_dice

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"


def main(recipe_path: Path | str, *, out: Path | str | None = None, text_bank: Path | str | None = None) -> Path:
    """Train from a recipe; continue where a killed run stopped.

    Args:
        recipe_path: YAML recipe.
        out: Run folder; default from the recipe.
        text_bank: Folder of the embedding bank; default `model_weights/text` beside `recipes`.

    Returns:
        Folder with the trained model (EMA weights).
    """
    recipe_path = Path(recipe_path)
    recipe = Recipe.load(recipe_path)
    root = recipe_path.resolve().parent.parent
    run = Path(out) if out else root / recipe.out
    bank = EmbeddingBank.load(text_bank or root / "model_weights" / "text")
    trainer = Trainer(recipe, run, data_root=root / recipe.data_root, bank=bank)
    trainer.run()
    return run


class Trainer:
    """State of one run: network, optimiser, averages, data, random numbers.

    Args:
        recipe: Settings.
        run: Folder for the log, checkpoints and the model.
        data_root: Folder that the sources' folders are relative to.
        bank: Text vectors.
    """

    def __init__(self, recipe: Recipe, run: Path, *, data_root: Path, bank: EmbeddingBank) -> None:
        self.recipe, self.run_folder, self.bank = recipe, run, bank
        run.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.entries, self.weights, self.add_lungs = _entries(recipe, data_root)
        pseudo = ("right lung", "left lung") if any(self.add_lungs) else ()
        self.config = _config(recipe, {name for entry in self.entries for name in entry.targets}.union(pseudo))
        self.names = _names(self.config, bank)
        self.folders = [data_root / source.folder for source in recipe.sources]
        organ_text = torch.stack([self.names.text[name] for name in self.config.organs])
        self.net = DSMNet(self.config, organ_text)
        self.net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        _slow_norm(self.net)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True
        )
        self.optimizer = torch.optim.AdamW(_groups(self.net, recipe.weight_decay), lr=1e-3, betas=(0.9, 0.99))
        self.autocast = recipe.precision == "bfloat16" and _has_bfloat16()
        self.step = 0
        self.cases: list[Case] = []
        self._write_provenance(data_root)

    @property
    def averaged_net(self) -> DSMNet:
        """The network with averaged weights: what is validated and shipped."""
        return cast("DSMNet", self.average.module)

    def run(self) -> None:
        """Train all phases, write the model at the end."""
        self._resume()
        rng = np.random.default_rng(self.recipe.seed)
        self.cases = [
            load_case(entry, self.config.windows_hu, rng=rng, add_lungs=add_lungs)
            for entry, add_lungs in zip(self.entries, self.add_lungs, strict=True)
        ]
        logger.info("%d cases loaded", len(self.cases))
        start = 0
        for phase in self.recipe.phases:
            if self.step < start + phase.steps:
                self._run_phase(phase, start)
            start += phase.steps
        save_model(self.averaged_net, self.config, self.run_folder)
        self.bank.save(self.run_folder)
        write_manifest(self.run_folder)

    def _run_phase(self, phase: Phase, start: int) -> None:
        sampler = CropSampler(
            phase.crop, phase.spacing_mm, class_centered=self.recipe.class_centered, generator=self.generator
        )
        recent: dict[str, list[float]] = {}
        began = time.perf_counter()
        while self.step < start + phase.steps:
            self.net.train()
            if phase.freeze_norm:
                _freeze_norm(self.net)
            self._set_rate(phase, self.step - start)
            index = int(torch.multinomial(self.weights, 1, generator=self.generator))
            crop = sampler(self.cases[index])
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                loss, parts = training_loss(self.net, crop, self.names, self.recipe, self.generator)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip_norm)
            if torch.isfinite(norm):  # one bad crop must not end a run of hours
                self.optimizer.step()
            self.average.update_parameters(self.net)
            self.step += 1
            for name, value in {**parts, "norm": float(norm)}.items():
                recent.setdefault(name, []).append(value)
            if self.step % 50 == 0:
                seconds = (time.perf_counter() - began) / 50
                self._log(
                    step=self.step, seconds=round(seconds, 3), **{n: float(np.mean(v)) for n, v in recent.items()}
                )
                recent, began = {}, time.perf_counter()
            if self.step % self.recipe.checkpoint_every == 0:
                self._save()
            if self.step % self.recipe.validate_every == 0:
                self._validate()
                began = time.perf_counter()
        self._save()

    def _set_rate(self, phase: Phase, step: int) -> None:
        end = phase.lr if phase.lr_end is None else phase.lr_end
        rate = phase.lr + (end - phase.lr) * step / phase.steps
        if step < phase.warmup:
            rate *= (step + 1) / phase.warmup
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _validate(self) -> None:
        entries = [e for e in self._all_entries() if e.case_id in self.recipe.validation_cases]
        dice = validation_dice(self.averaged_net, self.config, entries)
        self._log(step=self.step, validation=dice, mean=float(np.mean(list(dice.values()))) if dice else None)

    def _all_entries(self) -> list[CaseEntry]:
        return [entry for folder in self.folders for entry in read_manifest(folder)]

    def _log(self, **values: Any) -> None:
        line = json.dumps(values)
        logger.info(line)
        with (self.run_folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def _save(self) -> None:
        """Replace the checkpoint in one step, so that a kill leaves the old or the new one."""
        path = self.run_folder / CHECKPOINT
        state = {
            "step": self.step,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def _resume(self) -> None:
        path = self.run_folder / CHECKPOINT
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.step = state["step"]
        logger.info("resumed at step %d", self.step)

    def _write_provenance(self, data_root: Path) -> None:
        manifests = {source.folder: data_root / source.folder / MANIFEST for source in self.recipe.sources}
        record = {
            "recipe": asdict(self.recipe),
            "manifests_sha256": {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in manifests.items()},
            "training_cases": [entry.case_id for entry in self.entries],
            "versions": {"dsm": __version__, "torch": torch.__version__, "python": platform.python_version()},
        }
        (self.run_folder / "provenance.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _entries(recipe: Recipe, data_root: Path) -> tuple[list[CaseEntry], Tensor, list[bool]]:
    """Training cases of all sources, how often each is drawn, and whether it gets lungs from air."""
    entries, weights, add_lungs = [], [], []
    for source in recipe.sources:
        cases = [entry for entry in read_manifest(data_root / source.folder) if not entry.validation]
        if not cases:
            raise ConfigError(f"The data set {source.folder!r} has no training cases.")
        entries += cases
        weights += [source.weight / len(cases)] * len(cases)
        add_lungs += [source.add_lungs] * len(cases)
    return entries, torch.tensor(weights), add_lungs


def _config(recipe: Recipe, annotated: set[str]) -> ModelConfig:
    values = {**recipe.model, "schema_version": SCHEMA_VERSION}
    known = [name for name in (*values["organs"], *values["tumors"]) if name in annotated]
    return ModelConfig.from_dict({**values, "trained": known})


def _names(config: ModelConfig, bank: EmbeddingBank) -> Names:
    def text(name: str) -> Tensor:
        vector = bank.vector(name)
        if vector is None:
            raise ConfigError(f"The text bank has no vector for {name!r}.", hint="Rebuild the bank with this name.")
        return torch.from_numpy(bank.centred(vector)).float()

    return Names(
        organs={name: row for row, name in enumerate(config.organs)},
        tumors={name: row for row, name in enumerate(config.tumors)},
        text={name: text(name) for name in (*config.organs, *config.tumors)},
    )


def _has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; emulated it would be slower than float32."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))


def _groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """No weight decay on vectors and scalars (norms, biases, temperatures, decay rates)."""
    matrices = [p for p in net.parameters() if p.ndim >= 2]
    vectors = [p for p in net.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _slow_norm(net: nn.Module) -> None:
    """Average BatchNorm's statistics over about a hundred crops: one crop a step says little about a whole scan."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 0.01


def _freeze_norm(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eval()
