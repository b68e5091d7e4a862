"""Training loop: recipe in, model folder out; resumes from its last checkpoint."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from dsm._version import __version__
from dsm.core.processor import processor_name
from dsm.errors import ConfigError
from dsm.inference.precision import has_bfloat16
from dsm.io.manifest import MANIFEST, CaseEntry, read_manifest
from dsm.models.config import SCHEMA_VERSION, ModelConfig
from dsm.models.store import write_manifest
from dsm.models.weights import load_model, save_model
from dsm.nn.dsm_net import DSMNet
from dsm.text.bank import EmbeddingBank
from dsm.text.bank_file import SHARED_BANK
from dsm.text.vocabulary import load_vocabulary
from dsm.training.alignment import AlignmentHead
from dsm.training.case_cache import cached_case
from dsm.training.cases import SKELETON, Case
from dsm.training.checkpoint import Stateful, resume, save_checkpoint
from dsm.training.crops import Crop, CropSampler
from dsm.training.curves import curves
from dsm.training.mask_noise import MaskNoise
from dsm.training.objective import LabelSet, training_loss
from dsm.training.processes import Processes
from dsm.training.recipe import Phase, Recipe, Source
from dsm.training.schedule import set_learning_rate
from dsm.training.synthetic_lesions import add_lesions
from dsm.training.transplanted_lesions import LesionBank, lesion_bank, transplant_lesions
from dsm.training.validation import validation_dice

logger = logging.getLogger(__name__)

STORAGE = torch.int8  # of the weights of a finished model; checkpoints are float32 (docs/adr/0033)
_NAME_VECTORS = ("structure_embedding", "tumor_init.embedding")
CODES = "codes"  # `text_tower` of a model whose names mean nothing


def main(recipe_path: Path | str, *, out: Path | str | None = None, text_bank: Path | str | None = None) -> Path:
    """Train from a recipe; resume a killed run.

    Args:
        recipe_path: YAML recipe.
        out: Run folder; default from the recipe.
        text_bank: Folder of the embedding bank; by default the shared one.

    Returns:
        Folder with the trained model (EMA weights).
    """
    recipe_path = Path(recipe_path)
    recipe = Recipe.load(recipe_path)
    root = recipe_path.resolve().parent.parent
    run = Path(out) if out else root / recipe.out
    bank = EmbeddingBank.load(text_bank or SHARED_BANK)
    with Processes.from_environment() as processes:
        start = root / recipe.start_from if recipe.start_from else None
        data_root = root / recipe.data_root
        Trainer(recipe, run, data_root=data_root, bank=bank, start_from=start, processes=processes).run()
    return run


class Trainer:
    """State of one run: network, optimiser, averages, data, random numbers.

    Args:
        recipe: Settings.
        run: Folder for the log, checkpoints and the model.
        data_root: Folder that the sources' folders are relative to.
        bank: Text vectors.
        start_from: Model folder whose weights the run starts with.
        processes: The processes that share the run.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: Path,
        *,
        data_root: Path,
        bank: EmbeddingBank,
        start_from: Path | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.recipe, self.run_folder, self.start_from = recipe, run, start_from
        self.bank = random_class_embeddings(bank) if recipe.model.get("text_tower") == CODES else bank
        self.processes = processes or Processes()
        run.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.generator = torch.Generator()
        self.entries, self.weights, self.sources = _entries(recipe, data_root)
        pseudo = ("right lung", "left lung") if any(source.add_lungs for source in self.sources) else ()
        self.config = _config(
            recipe, {name for entry in self.entries for name, ids in entry.targets.items() if ids}.union(pseudo)
        )
        self.names = _names(self.config, self.bank, recipe.synthetic_lesions.names if recipe.synthetic_lesions else ())
        self.folders = [data_root / source.folder for source in recipe.sources]
        organ_text = torch.stack([self.names.text[name] for name in self.config.organs])
        self.net = self._new_net(organ_text)
        if start_from is not None:
            _start_from(self.net, start_from, self.config)
        self.net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        _slow_norm(self.net)
        self.alignment = AlignmentHead(self.config.query_dim, self.config.text_dim) if recipe.alignment_weight else None
        self.noise = MaskNoise() if self.config.visual_prompt else None
        self.average = torch.optim.swa_utils.AveragedModel(
            self.net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True
        )
        self.optimizer = torch.optim.AdamW(
            _groups(self.net, self.alignment, recipe.weight_decay), lr=1e-3, betas=(0.9, 0.99)
        )
        self.autocast = recipe.precision != "float32" and has_bfloat16(torch.device("cpu"))
        self._is_precision_chosen = False
        self.step = 0
        self.cases: list[Case] = []
        self.lesions: LesionBank = {}
        self._write_provenance(data_root)

    @property
    def averaged_net(self) -> DSMNet:
        """The network with averaged weights, used for validation and shipping."""
        return cast("DSMNet", self.average.module)

    def _new_net(self, organ_text: Tensor) -> DSMNet:
        return DSMNet(self.config, organ_text)

    def _loss(self, crop: Crop) -> tuple[Tensor, dict[str, float]]:
        return training_loss(
            self.net,
            crop,
            self.names,
            self.recipe,
            self.generator,
            alignment=self.alignment,
            noise=self.noise,
        )

    def run(self) -> None:
        """Train all phases, write the model at the end."""
        self.step = resume(self.run_folder, self._parts)
        self.cases = [
            cached_case(
                entry, self.config.windows_hu, source, seed=self.recipe.seed, folder=self.run_folder.parent / "cases"
            )
            for entry, source in zip(self.entries, self.sources, strict=True)
        ]
        logger.info("%d cases loaded", len(self.cases))
        if self.recipe.transplanted_lesions:
            self.lesions = lesion_bank(self.cases, self.recipe.transplanted_lesions)
        start = 0
        for phase in self.recipe.phases:
            if self.step < start + phase.steps:
                self._run_phase(phase, start)
            start += phase.steps
        if self.processes.is_first:
            self._write_model()

    def _write_model(self) -> None:
        if self.start_from is not None and self.recipe.start_share:
            _mix_start(self.averaged_net, self.start_from, self.config, self.recipe.start_share)
        save_model(self.averaged_net, self.config, self.run_folder, dtype=STORAGE)
        self.bank.save(self.run_folder)
        write_manifest(self.run_folder)

    def _run_phase(self, phase: Phase, start: int) -> None:
        sampler = CropSampler(
            phase.crop,
            phase.spacing_mm,
            class_centered=self.recipe.class_centered,
            generator=self.generator,
            channel_dropout=self.recipe.channel_dropout,
            names=self._names_that_matter(),
            random_contrast=self.recipe.random_contrast,
            windows_hu=self.config.windows_hu,
        )
        _freeze_parts(self.net, phase.frozen)
        if not self._is_precision_chosen:
            self._choose_precision(sampler, phase)
        recent: dict[str, list[float]] = {}
        began = time.perf_counter()
        while self.step < start + phase.steps:
            self.net.train()
            if phase.freeze_norm:
                freeze_norm(self.net)
            shares = {"encoder": phase.encoder_rate, "names": self.recipe.name_rate}
            set_learning_rate(self.optimizer, phase, self.step - start, shares)
            parts = self._accumulate(sampler, phase)
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            norm = nn.utils.clip_grad_norm_(parameters, self.recipe.clip_norm)
            if torch.isfinite(norm):  # one bad crop must not end a run of hours
                self.optimizer.step()
            self.average.update_parameters(self.net)
            self.step += 1
            for name, value in {**parts, "norm": float(norm)}.items():
                recent.setdefault(name, []).append(value)
            if self.step % 50 == 0:
                seconds = (time.perf_counter() - began) / 50
                left = round(seconds * (self.recipe.total_steps - self.step))
                means = {name: float(np.mean(values)) for name, values in recent.items()}
                self._log(step=self.step, seconds=round(seconds, 3), seconds_left=left, **means)
                recent, began = {}, time.perf_counter()
            if self.step % self.recipe.checkpoint_every == 0:
                self._save()
            if self.step % self.recipe.validate_every == 0:
                self._validate()
                began = time.perf_counter()
        self._save()

    def _choose_precision(self, sampler: CropSampler, phase: Phase) -> None:
        """Measure a step in float32 and bfloat16 where the recipe leaves the choice; log processor and choice."""
        self._is_precision_chosen = True
        seconds: dict[str, float] = {}
        if self.recipe.precision == "auto" and self.autocast:
            # Twice, and the lesser time counts: the first step also fills caches.
            for name, bfloat16 in 2 * [("float32", False), ("bfloat16", True)]:
                measured = self._seconds_a_step(sampler, phase, bfloat16=bfloat16)
                seconds[name] = min(seconds.get(name, measured), measured)
            self.autocast = seconds["bfloat16"] < seconds["float32"]
        self._log(
            step=self.step,
            processor=processor_name(),
            threads=torch.get_num_threads(),
            precision="bfloat16" if self.autocast else "float32",
            seconds_a_step={name: round(value, 3) for name, value in seconds.items()},
        )

    def _seconds_a_step(self, sampler: CropSampler, phase: Phase, *, bfloat16: bool) -> float:
        """Return the seconds of one crop, forwards and backwards; the run goes on as if there had been none."""
        buffers = [(buffer, buffer.clone()) for buffer in self.net.buffers()]
        self.net.train()
        with torch.random.fork_rng(devices=[]):
            self.generator.manual_seed(_seed(self.recipe.seed, self.step, 0))
            crop = self._draw(sampler, phase)
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss, _ = self._loss(crop)
            if loss.requires_grad:
                loss.backward()
            seconds = time.perf_counter() - began
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        return seconds

    def _names_that_matter(self) -> frozenset[str]:
        names = frozenset(self.names.text) | ({SKELETON} if self.recipe.skeleton else frozenset())
        rules = (self.recipe.synthetic_lesions, self.recipe.transplanted_lesions)
        return names.union(*(own.hosts for own in rules if own))

    def _accumulate(self, sampler: CropSampler, phase: Phase) -> dict[str, float]:
        """Gradients of this step's crops, averaged over all processes; returns the loss and its parts."""
        self.optimizer.zero_grad(set_to_none=True)
        count = self.recipe.crops_per_step
        sums: dict[str, float] = {}
        for index in self.processes.share(count):
            # Seeded a crop: a resumed run and any number of processes draw the same ones.
            self.generator.manual_seed(_seed(self.recipe.seed, self.step, index))
            crop = self._draw(sampler, phase)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                loss, parts = self._loss(crop)
            if loss.requires_grad:  # not where all that this crop would teach is frozen
                (loss / count).backward()
            for name, value in {"loss": float(loss.detach()), **parts}.items():
                sums[name] = sums.get(name, 0.0) + value / count
        trained = [self.net] if self.alignment is None else [self.net, self.alignment]
        return self.processes.add_up(trained, sums)

    def _draw(self, sampler: CropSampler, phase: Phase) -> Crop:
        index = int(torch.multinomial(self.weights, 1, generator=self.generator))
        case, source = self.cases[index], self.sources[index]
        crop = sampler(
            case,
            synthetic=source.synthetic_images,
            mr_share=source.synthetic_mr,
            stripped=source.stripped,
            mirrored=source.mirrored,
            deformed=source.deformed,
            thick_slices=source.thick_slices,
            with_head=source.with_head,
        )
        transplants, synthetic = self.recipe.transplanted_lesions, self.recipe.synthetic_lesions
        spacing_mm, modality = phase.spacing_mm, case.entry.modality
        if transplants and source.transplanted_lesions:
            crop = transplant_lesions(
                crop,
                self.lesions,
                transplants,
                spacing_mm,
                modality=modality,
                generator=self.generator,
                windows_hu=self.config.windows_hu,
            )
        if synthetic and source.synthetic_lesions:
            crop = add_lesions(crop, synthetic, spacing_mm, modality=modality, generator=self.generator)
        return crop

    def _validate(self) -> None:
        if not self.processes.is_first:
            return
        entries = [e for e in self._all_entries() if e.case_id in self.recipe.validation_cases]
        folder = self.run_folder / "montages" / f"{self.step:06d}"
        dice = validation_dice(self.averaged_net, self.config, entries, montages=folder)
        self._log(step=self.step, validation=dice, mean=float(np.mean(list(dice.values()))) if dice else None)

    def _all_entries(self) -> list[CaseEntry]:
        return [entry for folder in self.folders for entry in read_manifest(folder)]

    def _log(self, **values: Any) -> None:
        if not self.processes.is_first:
            return
        line = json.dumps(values)
        logger.info(line)
        with (self.run_folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        curves(self.run_folder, values)

    def _save(self) -> None:
        if not self.processes.is_first:
            return
        save_checkpoint(self.run_folder, self.step, self._parts)

    @property
    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful] = {"net": self.net, "average": self.average, "optimizer": self.optimizer}
        return parts if self.alignment is None else {**parts, "alignment": self.alignment}

    def _write_provenance(self, data_root: Path) -> None:
        record = provenance(self.recipe, [source.folder for source in self.recipe.sources], data_root)
        record["training_cases"] = [entry.case_id for entry in self.entries]
        record["storage"] = str(STORAGE).removeprefix("torch.")
        (self.run_folder / "provenance.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def provenance(recipe: Any, folders: Sequence[str], data_root: Path) -> dict[str, Any]:
    """Return the provenance of a run: recipe, SHA-256 of the data set manifests, and versions."""
    manifests = {folder: data_root / folder / MANIFEST for folder in folders}
    return {
        "recipe": asdict(recipe),
        "manifests_sha256": {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in manifests.items()},
        "versions": {"dsm": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def _entries(recipe: Recipe, data_root: Path) -> tuple[list[CaseEntry], Tensor, list[Source]]:
    """Training cases of all sources, how often each is drawn, and the source of each."""
    entries, weights, sources = [], [], []
    for source in recipe.sources:
        listed = read_manifest(data_root / source.folder, labels_alone=source.synthetic_images > 0)
        cases = [_with_unions(entry, source.unions) for entry in listed if not entry.validation]
        if not cases:
            raise ConfigError(f"The data set {source.folder!r} has no training cases.")
        if source.mirrored:
            _check_no_sides(source, cases)
        absent = [*_names_of(recipe, source.absent_regions), *source.absent]
        cases = [replace(entry, targets={**dict.fromkeys(absent, ()), **entry.targets}) for entry in cases]
        entries += [_without(entry, source.hidden) for entry in cases]
        weights += [source.weight / len(cases)] * len(cases)
        sources += [source] * len(cases)
    return entries, torch.tensor(weights), sources


def _check_no_sides(source: Source, cases: Sequence[CaseEntry]) -> None:
    sided = {name for case in cases for name in case.targets if name.split()[0] in ("left", "right")}
    if names := sorted(sided.difference(source.hidden)):
        raise ConfigError(
            f"The data set {source.folder!r} is to be mirrored, and has names with a side: {', '.join(names)}.",
            hint="Remove `mirrored`, or put the names under `hidden`.",
        )


def _names_of_model(recipe: Recipe) -> tuple[str, ...]:
    return (*recipe.model["organs"], *recipe.model.get("structures", ()), *recipe.model["tumors"])


def _names_of(recipe: Recipe, regions: Sequence[str]) -> list[str]:
    """Names of the model that belong to some body regions.

    Raises:
        ConfigError: If a region does not occur in the vocabulary.
    """
    if not regions:
        return []
    vocabulary = load_vocabulary()
    vocabulary.check_regions(regions)
    found = ((name, vocabulary.get(name)) for name in _names_of_model(recipe))
    return [name for name, structure in found if structure is not None and structure.body_region in regions]


def _with_unions(entry: CaseEntry, unions: Mapping[str, Sequence[str]]) -> CaseEntry:
    """Add names that are made of others; one of which a part is not annotated stays unknown."""
    ids = {
        name: tuple(label_id for part in parts for label_id in entry.targets[part])
        for name, parts in unions.items()
        if all(part in entry.targets for part in parts)
    }
    return replace(entry, targets={**entry.targets, **ids})


def _without(entry: CaseEntry, hidden: Sequence[str]) -> CaseEntry:
    """The case as if some names had never been annotated; a union keeps their voxels."""
    return replace(entry, targets={name: ids for name, ids in entry.targets.items() if name not in hidden})


def _seed(seed: int, step: int, index: int) -> int:
    digest = hashlib.sha256(f"{seed}/{step}/{index}".encode()).digest()
    return int.from_bytes(digest[:7])


def _start_from(net: DSMNet, folder: Path, config: ModelConfig) -> None:
    """Take over the weights of an earlier stage; parts that are new keep their random start."""
    earlier, before = load_model(folder)
    _, unexpected = net.load_state_dict(_adapted(earlier.state_dict(), net, before, config), strict=False)
    if unexpected:
        raise ConfigError(
            f"The weights in {folder} have parts that this network lacks: {', '.join(unexpected[:3])}.",
            hint="Give the recipe the model settings of the earlier stage.",
        )


@torch.no_grad()
def _mix_start(net: DSMNet, folder: Path, config: ModelConfig, share: float) -> None:
    """Interpolate between the weights of a run and those it started with; vectors of names stay those of the run.

    References:
        Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.
    """
    earlier, before = load_model(folder)
    start, state = _adapted(earlier.state_dict(), net, before, config), net.state_dict()
    for key in state.keys() & start.keys() - set(_NAME_VECTORS):
        if state[key].is_floating_point():
            state[key].lerp_(start[key].to(state[key].dtype), share)


def _adapted(state: dict[str, Tensor], net: DSMNet, before: ModelConfig, config: ModelConfig) -> dict[str, Tensor]:
    """Earlier weights in the shapes of `net`: same result before the first step.

    Windows that are new have weights of zero; names with a vector of their own keep it, new ones have a vector of zero
    and begin as their text.
    """
    state, shapes = dict(state), net.state_dict()
    stem = "encoder.stage2.0.weight"
    if stem in state and state[stem].shape != shapes[stem].shape and state[stem].shape[2:] == shapes[stem].shape[2:]:
        channels = {window: channel for channel, window in enumerate(before.windows_hu)}
        wide = torch.zeros_like(shapes[stem])
        if wide.shape[0] == state[stem].shape[0]:
            for channel, window in enumerate(config.windows_hu):
                if window in channels:
                    wide[:, channel] = state[stem][:, channels[window]]
            state[stem] = wide
    if before.organs != config.organs:
        _adapt_organs(state, shapes, before.organs, config.organs)
    for key, old, new in (
        ("organ_init.embedding", before.organs, config.organs),
        ("tumor_init.embedding", before.tumors, config.tumors),
        ("structure_embedding", before.structures, config.structures),
    ):
        if key not in shapes or old == new:
            continue
        rows = torch.zeros_like(shapes[key])
        for row, name in enumerate(new):
            if key in state and name in old:
                rows[row] = state[key][old.index(name)]
        state[key] = rows
    return state


def _adapt_organs(
    state: dict[str, Tensor], shapes: dict[str, Tensor], before: Sequence[str], organs: Sequence[str]
) -> None:
    """Replace what belongs to the organs before by that of `organs`; what is new among them keeps its random start."""
    del state["organ_text"]  # the network has that of its own organs
    kept = [organ for organ in organs if organ in before]
    new, old = (torch.tensor([names.index(organ) for organ in kept]) for names in (organs, before))
    for key in [key for key in shapes if ".refiner." in key and shapes[key].shape != state[key].shape]:
        axis = 1 if key.endswith("enter.weight") else 0
        state[key] = shapes[key].clone().index_copy_(axis, new, state[key].index_select(axis, old))


def _config(recipe: Recipe, annotated: set[str]) -> ModelConfig:
    values = {**recipe.model, "schema_version": SCHEMA_VERSION}
    names = _names_of_model(recipe)
    claimed = recipe.model.get("trained", names)
    known = [name for name in names if name in annotated and name in claimed]
    return ModelConfig.from_dict({**values, "trained": known})


def _names(config: ModelConfig, bank: EmbeddingBank, synthetic: Sequence[str]) -> LabelSet:
    def text(name: str) -> Tensor:
        vector = bank.vector(name)
        if vector is None:
            raise ConfigError(f"The text bank has no vector for {name!r}.", hint="Rebuild the bank with this name.")
        return torch.from_numpy(bank.centred(vector)).float()

    return LabelSet(
        organs={name: row for row, name in enumerate(config.organs)},
        tumors=dict.fromkeys(synthetic, -1) | {name: row for row, name in enumerate(config.tumors)},
        structures={name: row for row, name in enumerate(config.structures)},
        text={name: text(name) for name in (*config.organs, *config.structures, *config.tumors, *synthetic)},
    )


def random_class_embeddings(bank: EmbeddingBank) -> EmbeddingBank:
    """Bank of meaningless embeddings: a random code per name, seeded by the name."""
    codes = [np.random.default_rng(list(name.encode())).standard_normal(bank.mean.size) for name in bank.names]
    return EmbeddingBank(bank.names, np.stack(codes).astype(np.float32), np.zeros_like(bank.mean), CODES)


def _groups(net: nn.Module, alignment: nn.Module | None, weight_decay: float) -> list[dict[str, Any]]:
    """Encoder, vectors of names and rest; no weight decay on names, vectors and scalars (norms, biases, …)."""
    parts: dict[str, list[nn.Parameter]] = {"encoder": [], "names": [], "rest": []}
    for name, parameter in net.named_parameters():
        is_encoder = name.split(".")[0] in {"encoder", "pixel_decoder"}
        parts["encoder" if is_encoder else "names" if name in _NAME_VECTORS else "rest"].append(parameter)
    if alignment is not None:
        parts["rest"] += list(alignment.parameters())
    groups: list[dict[str, Any]] = []
    for part, parameters in parts.items():
        for decays in (True, False):
            chosen = [p for p in parameters if (p.ndim >= 2 and part != "names") == decays]
            if chosen:
                groups.append({"params": chosen, "weight_decay": weight_decay if decays else 0.0, "part": part})
    return groups


def _freeze_parts(net: nn.Module, patterns: Sequence[str]) -> None:
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(not any(fnmatch(name, p) or fnmatch(name, f"{p}.*") for p in patterns))


def _slow_norm(net: nn.Module) -> None:
    """Average BatchNorm's statistics over about a hundred crops: one crop a step says little about a whole scan."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 0.01


def freeze_norm(net: nn.Module) -> None:
    """Use BatchNorm's running statistics."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eval()
