"""Training loop of the click network: each prediction of a window is trained on, then clicked on again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.errors import ConfigError
from dsm.evaluation.simulated_clicks import next_click
from dsm.inference.click_channels import WindowClick, click_channels
from dsm.inference.precision import has_bfloat16
from dsm.io.manifest import CaseEntry, read_manifest
from dsm.models.click_weights import load_refiner, save_refiner
from dsm.nn.click_refiner import ClickRefiner, ClickRefinerConfig
from dsm.training.checkpoint import Stateful, resume, save_checkpoint
from dsm.training.click_cases import ClickCase, load_click_case, read_click_cases, save_click_cases
from dsm.training.click_recipe import ClickPhase, ClickRecipe
from dsm.training.click_samples import ClickSample, SampleRules, draw_sample
from dsm.training.curves import curves
from dsm.training.schedule import set_learning_rate
from dsm.training.train import freeze_norm, provenance

logger = logging.getLogger(__name__)

CASES = "cases.pt"  # of the run, loaded; delete it when the data sets change
_VALIDATION_CLICKS = 3
_WINDOWS_A_CASE = 4
_ALL_LABELS = SampleRules(labels=1.0, lesions=0.0, text=0.0, start_wrong=0.0)


def main(recipe_path: Path | str, *, out: Path | str | None = None) -> Path:
    """Train from a recipe; resume a killed run.

    Args:
        recipe_path: YAML recipe.
        out: Run folder; default from the recipe.

    Returns:
        Folder with the trained network.
    """
    recipe_path = Path(recipe_path)
    recipe = ClickRecipe.load(recipe_path)
    root = recipe_path.resolve().parent.parent
    run = Path(out) if out else root / recipe.out
    start = root / recipe.start_from if recipe.start_from else None
    ClickTrainer(recipe, run, data_root=root / recipe.data_root, start_from=start).run()
    return run


class Rollout:
    """Batch of windows with several successive clicks.

    Args:
        samples: The windows.
    """

    def __init__(self, samples: Sequence[ClickSample]) -> None:
        self.image = torch.stack([sample.image for sample in samples])
        self.truth = torch.stack([sample.truth for sample in samples])
        self.text = torch.stack([sample.text for sample in samples]).float()
        self.mask = torch.stack([sample.previous for sample in samples]).float()
        self.clicks: list[list[WindowClick]] = [[(_point(sample.click), True)] for sample in samples]

    def channels(self) -> Tensor:
        """Input of the network."""
        x = click_channels(self.image, self.clicks, previous=self.mask, text=self.text)
        return x.contiguous(memory_format=torch.channels_last_3d)

    def click(self, logits: Tensor, rng: np.random.Generator, *, same_clicks: float, depth: float = 0.6) -> None:
        """Store the masks, and place a click in the largest error of each."""
        self.mask = logits.detach().sigmoid()
        for row, own in enumerate(self.clicks):
            if rng.random() < same_clicks:
                continue
            truth, found = self.truth[row].numpy(), (self.mask[row] > 0.5).numpy()
            new = next_click(truth, found, rng, depth=depth)
            if new is not None:
                own.append((_point(new[0]), new[1]))


class ClickTrainer:
    """State of one run.

    Args:
        recipe: Settings.
        run: Folder for the log, checkpoints and the network.
        data_root: Folder that the sources' folders are relative to.
        start_from: Model folder whose click network this one starts with; its widths may be smaller.
    """

    def __init__(self, recipe: ClickRecipe, run: Path, *, data_root: Path, start_from: Path | None = None) -> None:
        self.recipe, self.run_folder = recipe, run
        run.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.entries, self.validation = _entries(recipe, data_root)
        trained = sorted({name for entry, _, hidden in self.entries for name in entry.targets if name not in hidden})
        self.config = ClickRefinerConfig(**{**recipe.model, "trained": tuple(trained)})
        self.net = ClickRefiner(self.config).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average = torch.optim.swa_utils.AveragedModel(
            self.net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True
        )
        if start_from is not None:
            load_widened(self.net, load_refiner(start_from)[0].state_dict())
        self.optimizer = torch.optim.AdamW(_groups(self.net, recipe.weight_decay), lr=1e-3, betas=(0.9, 0.99))
        self.autocast = recipe.precision == "bfloat16" and has_bfloat16(torch.device("cpu"))
        self.step = 0
        self.cases: list[ClickCase] = []
        record = provenance(recipe, [source.folder for source in recipe.sources], data_root)
        record["training_cases"] = [entry.case_id for entry, _, _ in self.entries]
        (run / "provenance.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    @property
    def averaged_net(self) -> ClickRefiner:
        """The network with averaged weights, used for validation and shipping."""
        return cast("ClickRefiner", self.average.module)

    def run(self) -> None:
        """Train all phases, write the network at the end."""
        self.step = resume(self.run_folder, self._parts)
        rng = np.random.default_rng(self.recipe.seed)
        kept = self.run_folder / CASES
        if not kept.is_file():
            save_click_cases(
                [load_click_case(entry, hidden=hidden, rng=rng) for entry, _, hidden in self.entries], kept
            )
        self.cases = read_click_cases(kept)
        self.checks = self._validation_windows()
        logger.info("%d cases loaded", len(self.cases))
        start = 0
        for phase in self.recipe.phases:
            if self.step < start + phase.steps:
                self._run_phase(phase, start)
            start += phase.steps
        save_refiner(self.best_net(), self.config, self.run_folder)

    def best_net(self) -> ClickRefiner:
        """The averaged network, once there is an average."""
        return self.averaged_net if self.average.n_averaged > 0 else self.net

    def _run_phase(self, phase: ClickPhase, start: int) -> None:
        recent: dict[str, list[float]] = {}
        began, cpu = time.perf_counter(), time.process_time()
        rollout: Rollout | None = None
        looks, look, rng = 0, 0, np.random.default_rng(0)
        while self.step < start + phase.steps:
            if rollout is None:
                rng = np.random.default_rng((self.recipe.seed, self.step))
                rollout = Rollout([self._draw(phase.window, rng) for _ in range(phase.batch)])
                looks, look = 1 + int(rng.choice(len(self.recipe.rounds), p=_shares(self.recipe.rounds))), 0
            set_learning_rate(self.optimizer, phase, self.step - start)
            self.net.train()
            if phase.freeze_norm:
                freeze_norm(self.net)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                logits = self.net(rollout.channels())
            logits = logits.float()
            loss, dice = click_loss(logits, rollout.truth)
            self.optimizer.zero_grad(set_to_none=True)
            (loss * (self.recipe.first_weight if look == 0 else 1.0)).backward()
            norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip_norm)
            if torch.isfinite(norm):  # one bad window must not end a run of hours
                self.optimizer.step()
            look += 1
            recent.setdefault("loss", []).append(float(loss.detach()))
            recent.setdefault("norm", []).append(float(norm))
            recent.setdefault(f"dice_{min(look, 4)}", []).append(dice)
            if look < looks:
                rollout.click(logits, rng, same_clicks=self.recipe.same_clicks)
            else:
                rollout = None
            self.step += 1
            if self.step >= self.recipe.ema_start:
                self.average.update_parameters(self.net)
            if self.step % 50 == 0:
                means = {name: round(float(np.mean(values)), 4) for name, values in recent.items()}
                seconds, cpu_seconds = (time.perf_counter() - began) / 50, (time.process_time() - cpu) / 50
                self._log(step=self.step, seconds=round(seconds, 3), cpu_seconds=round(cpu_seconds, 3), **means)
                recent, began, cpu = {}, time.perf_counter(), time.process_time()
            if self.step % self.recipe.checkpoint_every == 0:
                self._save()
            if self.checks and self.step % self.recipe.validate_every == 0:
                self._log(step=self.step, validation=self._validate())
                began, cpu = time.perf_counter(), time.process_time()
        self._save()

    def _draw(self, size: int, rng: np.random.Generator) -> ClickSample:
        weights = np.array([weight for _, weight, _ in self.entries])
        case = self.cases[rng.choice(len(weights), p=weights / weights.sum())]
        return draw_sample(case, size, self.recipe.samples, rng)

    def _validation_windows(self) -> list[tuple[ClickSample, bool]]:
        """Windows on labels of validation cases, and whether their names are trained."""
        rng = np.random.default_rng(self.recipe.seed + 1)
        windows = []
        chosen = rng.permutation(len(self.validation))[: -(-self.recipe.validation_windows // _WINDOWS_A_CASE)]
        for entry, hidden in (self.validation[index] for index in chosen):
            case = load_click_case(entry, hidden=(), rng=rng)
            for is_hidden in (False, True):
                own = tuple(o for o in case.objects if (o.name in hidden) == is_hidden)
                if own:
                    some = ClickCase(case.case_id, case.modality, case.levels, case.spacing_mm, own, case.body)
                    windows += [(draw_sample(some, 32, _ALL_LABELS, rng), is_hidden) for _ in range(_WINDOWS_A_CASE)]
        order = rng.permutation(len(windows))[: self.recipe.validation_windows]
        return [windows[index] for index in order]

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Dice after 1 to 3 clicks in windows, of trained and of hidden names."""
        net = self.best_net().eval()
        found: dict[str, list[float]] = {}
        rng = np.random.default_rng(0)
        for sample, is_hidden in self.checks:
            rollout = Rollout([sample])
            for clicks in range(1, _VALIDATION_CLICKS + 1):
                logits = net(rollout.channels())
                _, dice = click_loss(logits, rollout.truth)
                found.setdefault(f"{'hidden' if is_hidden else 'trained'}_{clicks}", []).append(dice)
                rollout.click(logits, rng, same_clicks=0.0, depth=0.9)
        return {name: round(float(np.mean(values)), 4) for name, values in sorted(found.items())}

    def _log(self, **values: Any) -> None:
        line = json.dumps(values)
        logger.info(line)
        with (self.run_folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        curves(self.run_folder, values)

    def _save(self) -> None:
        save_checkpoint(self.run_folder, self.step, self._parts)

    @property
    def _parts(self) -> dict[str, Stateful]:
        return {"net": self.net, "average": self.average, "optimizer": self.optimizer}


def load_widened(net: nn.Module, narrow: Mapping[str, Tensor]) -> None:
    """Load the weights of a network of the same shape with as many or fewer channels; the outputs stay the same.

    Channels that are new keep their initial weights, and nothing that was there listens to them at first.

    Args:
        net: Network to load into.
        narrow: State of the other one.
    """
    for name, value in net.state_dict().items():
        old = narrow[name]
        kept = tuple(slice(0, length) for length in old.shape)
        if value.ndim > 1:
            value[kept[0]] = 0.0
        value[kept] = old


def click_loss(logits: Tensor, truth: Tensor) -> tuple[Tensor, float]:
    """Cross-entropy plus one minus Dice of each window, averaged; and the Dice of the masks.

    Args:
        logits: `(batch, i, j, k)`.
        truth: Bool, same shape.
    """
    target = truth.float()
    entropy = F.binary_cross_entropy_with_logits(logits, target)
    probability = logits.sigmoid()
    axes = (1, 2, 3)
    overlap = 2 * (probability * target).sum(axes) + 1
    soft = overlap / (probability.square().sum(axes) + target.sum(axes) + 1)
    found = logits.detach() > 0
    dice = 2 * (found & truth).sum(axes) / (found.sum(axes) + truth.sum(axes)).clamp_min(1)
    return entropy + (1 - soft).mean(), float(dice.mean())


def _entries(
    recipe: ClickRecipe, data_root: Path
) -> tuple[list[tuple[CaseEntry, float, tuple[str, ...]]], list[tuple[CaseEntry, tuple[str, ...]]]]:
    """Training cases with weight and hidden names; validation cases with hidden names."""
    training, validation = [], []
    for source in recipe.sources:
        entries = read_manifest(data_root / source.folder)
        own = [entry for entry in entries if not entry.validation]
        if not own:
            raise ConfigError(f"The data set {source.folder!r} has no training cases.")
        training += [(entry, source.weight / len(own), source.hidden) for entry in own]
        validation += [(entry, source.hidden) for entry in entries if entry.validation]
    return training, validation


def _groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    return [
        {
            "params": [p for p in net.parameters() if (p.ndim >= 2) == decays],
            "weight_decay": weight_decay if decays else 0.0,
        }
        for decays in (True, False)
    ]


def _shares(weights: Sequence[float]) -> np.ndarray:
    array = np.array(weights, dtype=np.float64)
    return array / array.sum()


def _point(voxel: Sequence[int]) -> tuple[float, float, float]:
    i, j, k = (float(v) for v in voxel)
    return i, j, k
