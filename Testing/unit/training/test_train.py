import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from dsm.errors import ConfigError
from dsm.models.config import ModelConfig
from dsm.models.weights import load_model
from dsm.training import case_cache, train
from dsm.training.cases import SKELETON
from dsm.training.crops import Crop, CropSampler
from dsm.training.objective import LabelSet
from dsm.training.recipe import Phase, Source
from dsm.training.train import Trainer

pytestmark = pytest.mark.xdist_group("train")  # in one test process, which makes its fixtures once


class Killed(BaseException):
    """Not an Exception, as a signal is none."""


@pytest.fixture
def trainer(tiny_recipe, phantoms, small_bank, tmp_path):
    def make(run="run", **changes):
        recipe = replace(tiny_recipe, **changes)
        return Trainer(recipe, tmp_path / run, data_root=phantoms, bank=small_bank)

    return make


def kill_in_step(monkeypatch, step):
    """Let the process die in a step: after the forward pass, before the optimiser."""
    real, count = train.training_loss, iter(range(1, 1000))

    def dying(*args, **kwargs):
        result = real(*args, **kwargs)
        if next(count) == step:
            raise Killed
        return result

    monkeypatch.setattr(train, "training_loss", dying)


def flat(state, prefix=""):
    """All tensors and numbers of nested dictionaries and lists."""
    if isinstance(state, dict | list):
        items = state.items() if isinstance(state, dict) else enumerate(state)
        return {k: v for key, value in items for k, v in flat(value, f"{prefix}/{key}").items()}
    return {prefix: state}


def assert_same_run(one, other):
    are_same = (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert are_same  # pytest takes minutes to show how megabytes differ
    states = [flat(torch.load(run / "checkpoint.pt", weights_only=True)) for run in (one, other)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, states[1][name]), name
        else:
            assert value == states[1][name], name


@pytest.fixture(scope="module")
def uninterrupted(request, phantoms, small_bank, tmp_path_factory):
    """The run that a killed one is compared with; made once."""
    made = []

    def run(recipe):
        if not made:
            made.append(tmp_path_factory.mktemp("uninterrupted"))
            Trainer(recipe, made[0], data_root=phantoms, bank=small_bank).run()
        return made[0]

    return run


# Checkpoints are at steps 2, 3 (end of the phase), 4 and 6: before the first, on one, in each phase, after one.
@pytest.mark.parametrize("step", [2, 3, 4, 6])
def test_resumed_run_equals_the_uninterrupted_run(trainer, tiny_recipe, uninterrupted, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch:
        kill_in_step(patch, step)
        with pytest.raises(Killed):
            trainer().run()
    assert not (tmp_path / "run" / "model.safetensors").exists()
    torch.manual_seed(99)  # another process has other global random numbers
    resumed = trainer()
    resumed.run()
    assert resumed.step == 6
    assert_same_run(tmp_path / "run", uninterrupted(tiny_recipe))


def test_finished_run_is_unchanged(trainer, tmp_path):
    trainer().run()
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    trainer().run()
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before


def test_seed_changes_the_run(trainer, tmp_path):
    for run, seed in (("a", 0), ("b", 1)):
        trainer(run, seed=seed, phases=(Phase(steps=1, spacing_mm=4.0, crop=(32, 32, 32), lr=0.01),)).run()
    assert (tmp_path / "a" / "model.safetensors").read_bytes() != (tmp_path / "b" / "model.safetensors").read_bytes()


def test_kill_while_saving_keeps_the_last_checkpoint(trainer, tmp_path, monkeypatch):
    made = trainer()
    made._save()
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()

    def half(state, path):
        path.write_bytes(b"half")
        raise Killed

    monkeypatch.setattr(torch, "save", half)
    made.step = 1
    with pytest.raises(Killed):
        made._save()
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_run_writes_a_model_and_its_provenance(uninterrupted, tiny_recipe):
    run = uninterrupted(tiny_recipe)
    net, config = load_model(run)
    assert config.organs == ("spleen", "liver", "left kidney")
    assert config.trained == ("spleen", "liver", "liver tumor")  # nobody annotated the kidney
    assert net.organ_text.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-3)
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["training_cases"] == [f"phantom_{n}" for n in range(4)]
    assert len(provenance["manifests_sha256"]["phantoms"]) == 64
    assert provenance["recipe"]["seed"] == 0
    assert provenance["storage"] == "int8"
    assert torch.int8 in {tensor.dtype for tensor in load_file(run / "model.safetensors").values()}
    machine, line = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert machine["processor"]
    assert line["step"] == 4
    assert set(line["validation"]) == {"liver", "spleen"}


def test_model_has_averaged_weights(trainer, tmp_path):
    made = trainer(ema_decay=1.0)  # an average that never moves
    start = {name: value.clone() for name, value in made.net.state_dict().items()}
    made.run()
    net, _ = load_model(tmp_path / "run")
    assert (made.net.mask_head.mlp[1].weight - start["mask_head.mlp.1.weight"]).abs().max() > 1e-3
    # The first update copies the first step; nothing moves after it.
    assert (made.average.module.mask_head.mlp[1].weight - net.mask_head.mlp[1].weight).abs().max() < 1e-3


def test_frozen_norm_keeps_its_statistics(trainer):
    made = trainer(phases=(Phase(steps=1, spacing_mm=4.0, crop=(32, 32, 32), lr=0.1, freeze_norm=True),))
    mean = made.net.encoder.stage2[1].running_mean.clone()
    weight = made.net.encoder.stage2[1].weight.detach().clone()
    made.run()
    assert torch.equal(made.net.encoder.stage2[1].running_mean, mean)
    assert not torch.equal(made.net.encoder.stage2[1].weight, weight)


def test_non_finite_loss_is_skipped(trainer, monkeypatch):
    real = train.training_loss

    def poisoned(*args, **options):
        loss, parts = real(*args, **options)
        return loss * float("nan"), parts

    monkeypatch.setattr(train, "training_loss", poisoned)
    made = trainer(phases=(Phase(steps=1, spacing_mm=4.0, crop=(32, 32, 32), lr=0.1),))
    made.run()
    assert all(parameter.isfinite().all() for parameter in made.net.parameters())


def test_weight_decay_applies_to_matrices_only(trainer):
    for group in trainer().optimizer.param_groups:
        assert group["params"]
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.01 if parameter.ndim >= 2 and group["part"] != "names" else 0)


def test_name_missing_from_the_text_bank(trainer, tiny_recipe):
    with pytest.raises(ConfigError, match="'pineapple'"):
        trainer(model={**tiny_recipe.model, "organs": ["liver", "pineapple"]})


def test_data_set_without_training_cases(trainer, phantoms):
    folder = phantoms / "empty"
    folder.mkdir(exist_ok=True)
    empty = {"name": "empty", "labels": {}, "annotated": [], "cases": []}
    (folder / "dataset.json").write_text(json.dumps(empty))
    with pytest.raises(ConfigError, match="'empty' has no training cases"):
        trainer(sources=(Source(folder="empty", weight=1.0),))


def test_main_resolves_the_output_relative_to_the_recipe(tiny_recipe, phantoms, small_bank, tmp_path):
    import yaml

    phases = [{"steps": 1, "spacing_mm": 4.0, "crop": [32, 32, 32], "lr": 0.01}]
    sources = [{"folder": "phantoms", "weight": 1.0}]
    recipe = {"model": tiny_recipe.model, "data_root": str(phantoms), "sources": sources, "phases": phases}
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "x.yaml").write_text(yaml.safe_dump({**recipe, "out": "runs/x"}))
    small_bank.save(tmp_path)
    run = train.main(tmp_path / "recipes" / "x.yaml", text_bank=tmp_path)
    assert run == tmp_path / "runs" / "x"
    assert ModelConfig.load(run).name == "dsm-phantom"


def test_hidden_names_are_excluded(trainer):
    made = trainer(sources=(Source(folder="phantoms", weight=1.0, hidden=("liver tumor",)),))
    assert all(set(entry.targets) == {"liver", "spleen"} for entry in made.entries)
    assert all(entry.targets["liver"] == (1, 3) for entry in made.entries)  # its voxels still are liver
    assert made.config.trained == ("spleen", "liver")


def test_names_are_codes_without_a_text_encoder(trainer, tiny_recipe):
    made = trainer(model={**tiny_recipe.model, "text_tower": "codes"})
    code = torch.from_numpy(made.bank.centred(made.bank.vector("liver"))).float()
    assert torch.equal(made.names.text["liver"], code)
    assert not torch.allclose(made.names.text["liver"], trainer().names.text["liver"], atol=0.1)


def test_second_stage_starts_from_the_first(trainer, tiny_recipe, phantoms, small_bank, tmp_path):
    trainer("one").run()
    stage1 = load_model(tmp_path / "one")[0].state_dict()
    recipe = replace(tiny_recipe, model={**tiny_recipe.model, "visual_prompt": True})
    second = Trainer(recipe, tmp_path / "two", data_root=phantoms, bank=small_bank, start_from=tmp_path / "one")
    state = second.net.state_dict()
    assert stage1.keys() < state.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in stage1.items())
    assert {name.split(".")[0] for name in state.keys() - stage1.keys()} == {"denoiser", "visual_weight"}


def test_weights_of_another_network_are_refused(trainer, tiny_recipe, phantoms, small_bank, tmp_path):
    trainer("one", model={**tiny_recipe.model, "visual_prompt": True}).run()
    with pytest.raises(ConfigError, match="parts that this network lacks"):
        Trainer(tiny_recipe, tmp_path / "two", data_root=phantoms, bank=small_bank, start_from=tmp_path / "one")


def test_frozen_parts_are_unchanged_and_others_learn(trainer, tiny_recipe, tmp_path):
    phase = Phase(steps=2, spacing_mm=4.0, crop=(32, 32, 32), lr=0.01, frozen=("organ_init",))
    made = trainer(phases=(phase,))
    before = {name: tensor.clone() for name, tensor in made.net.state_dict().items()}
    made.run()
    changed = {name for name, tensor in made.net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert not any(name.startswith("organ_init.") for name in changed)
    assert any(name.startswith("kmax_layers.") for name in changed)


def test_encoder_and_names_have_separate_learning_rates(trainer):
    made = trainer(
        name_rate=20.0, phases=(Phase(steps=1, spacing_mm=4.0, crop=(32, 32, 32), lr=0.01, encoder_rate=0.1),)
    )
    made.run()
    rates = {group["part"]: group["lr"] for group in made.optimizer.param_groups}
    assert rates == {"encoder": pytest.approx(0.001), "names": pytest.approx(0.2), "rest": pytest.approx(0.01)}


def test_all_parts_of_the_second_stage_learn_together(trainer, tiny_recipe):
    model = {**tiny_recipe.model, "visual_prompt": True}
    changes = {"anomaly_weight": 0.1, "alignment_weight": 0.1, "tumor_weight": 0.5, "visual_prompt_dropout": 0.0}
    made = trainer(model=model, **changes)
    made.run()
    assert made.net.visual_weight != 0
    log = [json.loads(line) for line in (made.run_folder / "log.jsonl").read_text().splitlines()]
    assert log  # the validation at step 4
    assert made.alignment is not None


def test_new_windows_tumors_and_structures_initially_have_no_effect(
    trainer, tiny_recipe, phantoms, small_bank, tmp_path
):
    trainer("one").run()
    before, _ = load_model(tmp_path / "one")
    model = {**tiny_recipe.model, "windows_hu": [[-125, 275], [-1000, 600]], "structures": ["left kidney"]}
    recipe = replace(tiny_recipe, model={**model, "tumors": ["heart", "liver tumor"]})
    second = Trainer(recipe, tmp_path / "two", data_root=phantoms, bank=small_bank, start_from=tmp_path / "one")
    after = second.net.eval()
    image = torch.rand(1, 2, 32, 32, 32)
    text = second.names.text
    old = LabelSet(organs=second.names.organs, tumors={"liver tumor": 0}, text=text)
    with torch.no_grad():
        encodings = before.encode(image[:, :1]), after.encode(image)
        torch.testing.assert_close(encodings[0].embedding, encodings[1].embedding)
        for name in ("liver tumor", "heart"):
            decoded = [
                net.decode(encoding, names.batch([name], text_only=False)).logits
                for net, encoding, names in ((before, encodings[0], old), (after, encodings[1], second.names))
                if name in names.tumors
            ]
            torch.testing.assert_close(decoded[0], decoded[-1])


def test_organs_may_differ_from_those_of_the_first_stage(trainer, tiny_recipe, phantoms, small_bank, tmp_path):
    trainer("one").run()
    before, old = load_model(tmp_path / "one")
    recipe = replace(tiny_recipe, model={**tiny_recipe.model, "organs": ["heart", *reversed(old.organs)]})
    after = Trainer(recipe, tmp_path / "two", data_root=phantoms, bank=small_bank, start_from=tmp_path / "one").net
    rows = [1 + tuple(reversed(old.organs)).index(name) for name in old.organs]
    torch.testing.assert_close(after.organ_text[rows], before.organ_text, atol=1e-3, rtol=0)  # stored in 16 bits
    torch.testing.assert_close(after.organ_init.embedding[rows], before.organ_init.embedding)
    assert not after.organ_init.embedding[0].any(), "a new organ begins as its text"
    pairs = [(a.refiner, b.refiner) for a, b in zip(after.kmax_layers, before.kmax_layers, strict=True) if b.refiner]
    assert pairs
    for new, earlier in pairs:
        torch.testing.assert_close(new.enter.weight[:, rows], earlier.enter.weight)
        torch.testing.assert_close(new.leave.weight[rows], earlier.leave.weight)


def test_skeleton_loss_is_shared_by_all_bones(trainer):
    made = trainer(skeleton=("liver", "spleen"))
    mask = torch.zeros(1, 16, 16, 16, dtype=torch.bool)
    mask[:, 4:8] = True
    loss, parts = made._loss(Crop(image=torch.rand(1, 1, 32, 32, 32), masks=mask, names=(SKELETON,)))
    assert set(parts) == {"skeleton"}
    loss.backward()
    assert made.net.organ_init.embedding.grad[:2].any()


def test_names_of_absent_regions_are_negative(trainer, tiny_recipe):
    source = Source(folder="phantoms", weight=1.0, absent_regions=("thorax", "abdomen"))
    made = trainer(model={**tiny_recipe.model, "structures": ["heart"]}, sources=(source,))
    targets = made.entries[0].targets
    assert targets["heart"] == ()
    assert targets["liver"] == (1, 3), "annotated names stay"
    assert "heart" not in made.config.trained
    made.run()
    crop = made._draw(
        CropSampler((32, 32, 32), 4.0, class_centered=0.0, generator=made.generator), made.recipe.phases[0]
    )
    assert not crop.masks[crop.names.index("heart")].any()


def test_absent_names_are_negative(trainer, tiny_recipe):
    source = Source(folder="phantoms", weight=1.0, absent=("liver tumor", "brain tumor"))
    targets = trainer(sources=(source,)).entries[0].targets
    assert targets["brain tumor"] == ()
    assert targets["liver tumor"] == (3,), "annotated names stay"


def test_names_with_a_side_are_not_mirrored(trainer):
    source = Source(folder="phantoms", weight=1.0, mirrored=True, unions={"left liver": ("liver",)})
    with pytest.raises(ConfigError, match="names with a side: left liver"):
        trainer(sources=(source,))
    trainer(sources=(replace(source, hidden=("left liver",)),))


def test_unknown_region_is_refused(trainer):
    with pytest.raises(ConfigError, match="No region 'torso'"):
        trainer(sources=(Source(folder="phantoms", weight=1.0, absent_regions=("torso",)),))


def test_structure_has_a_learned_vector(trainer, tiny_recipe):
    model = {**tiny_recipe.model, "organs": ["liver", "left kidney"], "structures": ["spleen"]}
    made = trainer(model=model)
    assert made.config.trained == ("liver", "spleen", "liver tumor")
    assert not made.net.structure_embedding.any()
    made.run()
    assert made.net.structure_embedding.any()
    log = [json.loads(line) for line in (made.run_folder / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 4


def test_resumed_run_reads_cached_cases(trainer, monkeypatch):
    first = trainer()
    first.run()
    monkeypatch.setattr(case_cache, "load_case", None)  # would fail
    second = trainer("run", phases=(*first.recipe.phases, replace(first.recipe.phases[-1], steps=1)))
    second.run()
    assert second.step == 7
    for one, other in zip(first.cases, second.cases, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.label, other.label)
        assert one.entry == other.entry
        assert one.present.keys() == other.present.keys()


def log_lines(trainer):
    return [json.loads(line) for line in (trainer.run_folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("seconds", "expected"), [((2.0, 1.0), "bfloat16"), ((1.0, 2.0), "float32")])
def test_faster_precision_is_measured_and_logged(trainer, monkeypatch, seconds, expected):
    monkeypatch.setattr(train, "has_bfloat16", lambda _: True)
    measured = []

    def seconds_a_step(_self, _sampler, _phase, *, bfloat16):
        measured.append(bfloat16)
        return seconds[bfloat16]

    monkeypatch.setattr(Trainer, "_seconds_a_step", seconds_a_step)
    made = trainer(precision="auto")
    made.run()
    assert made.autocast is (expected == "bfloat16")
    assert measured == [False, True, False, True]
    first = log_lines(made)[0]
    assert first["precision"] == expected
    assert first["processor"] == train.processor_name()
    assert first["seconds_a_step"] == {"float32": seconds[0], "bfloat16": seconds[1]}


def test_precision_is_not_measured_without_bfloat16(trainer, monkeypatch):
    monkeypatch.setattr(train, "has_bfloat16", lambda _: False)
    monkeypatch.setattr(Trainer, "_seconds_a_step", None)
    made = trainer(precision="auto")
    made.run()
    assert (log_lines(made)[0]["precision"], log_lines(made)[0]["seconds_a_step"]) == ("float32", {})


def test_precision_measurement_does_not_change_the_run(trainer, monkeypatch):
    real = Trainer._seconds_a_step
    monkeypatch.setattr(train, "has_bfloat16", lambda _: True)
    monkeypatch.setattr(Trainer, "_seconds_a_step", lambda *a, **k: real(*a, **k) * (1 + 1e6 * k["bfloat16"]))
    measured = trainer("measured", precision="auto")
    measured.run()
    plain = trainer("plain", precision="float32")
    plain.run()
    assert not measured.autocast
    assert_same_run(measured.run_folder, plain.run_folder)


def test_written_weights_interpolate_start_and_trained_weights(trainer, tiny_recipe, phantoms, small_bank, tmp_path):
    trainer("one").run()
    written = {}
    for share in (0.0, 0.5, 1.0):
        run = tmp_path / f"two-{share}"
        recipe = replace(tiny_recipe, start_share=share)
        Trainer(recipe, run, data_root=phantoms, bank=small_bank, start_from=tmp_path / "one").run()
        written[share] = load_model(run)[0].state_dict()
    start = load_model(tmp_path / "one")[0].state_dict()
    key = (
        "mask_head.embedding.weight"
        if "mask_head.embedding.weight" in start
        else next(name for name, tensor in start.items() if name.startswith("mask_head") and tensor.ndim >= 2)
    )
    step = float((written[0.0][key] - start[key]).abs().max())
    assert step > 0
    torch.testing.assert_close(written[1.0][key], start[key], atol=0.1 * step, rtol=0.02)
    middle = (written[0.0][key] + start[key]) / 2
    torch.testing.assert_close(written[0.5][key], middle, atol=0.2 * step, rtol=0.02)
    assert not torch.equal(written[1.0]["tumor_init.embedding"], start["tumor_init.embedding"])


def test_only_declared_names_are_recorded_as_trained(trainer, tiny_recipe):
    names = tiny_recipe.model["organs"]
    made = trainer(model={**tiny_recipe.model, "trained": [names[0], "aorta"]})
    assert made.config.trained == (names[0],)
