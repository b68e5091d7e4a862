import json
from dataclasses import asdict
from pathlib import Path

import torch
import yaml

from benchmarks.ablation import main, merged, table
from benchmarks.plain_baseline import PlainNet, flops_per_voxel
from dsm.models.config import ModelConfig
from dsm.nn.prompt_batch import PromptBatch
from dsm.training.recipe import Recipe

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def test_changes_replace_key_by_key():
    base = {"model": {"a": 1, "b": 2}, "seed": 0}
    assert merged(base, {"model": {"b": 3}}) == {"model": {"a": 1, "b": 3}, "seed": 0}
    assert base["model"]["b"] == 2


def test_table():
    measured = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 4}
    rows = {"full": {"a": {"mean_dice": measured}, "b": {"labels": {"liver tumor": {"auroc_host": measured}}}}}
    last = table(rows, "a", "b", "liver tumor").splitlines()[-1]
    assert last == "| full | 0.500 (0.400 to 0.600), n = 4 | 0.500 (0.400 to 0.600), n = 4 | – |"


def test_shipped_variants_are_recipes(tmp_path):
    plan = yaml.safe_load((BENCHMARKS / "ablation.yaml").read_text())
    for number, changes in enumerate(plan["variants"].values()):
        changes.pop("network", None)
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(merged(plan["recipe"], changes)))
        assert Recipe.load(path).total_steps == 900


def test_variants_are_trained_and_compared(tiny_recipe, phantoms, small_bank, tmp_path):
    recipe = json.loads(json.dumps(asdict(tiny_recipe))) | {"data_root": str(phantoms), "validation_cases": []}
    recipe["sources"][0]["hidden"] = ["liver tumor"]
    variants = {"full": None, "codes": {"model": {"text_tower": "codes"}}, "plain": {"network": "segresnet"}}
    plan = {"organs": "phantoms", "tumor": ["phantoms", "liver tumor"], "recipe": recipe, "variants": variants}
    path = tmp_path / "benchmarks" / "ablation.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    small_bank.save(tmp_path)
    main(path, out=tmp_path / "out", text_bank=tmp_path)
    rows = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert list(rows) == list(variants)
    assert all(row["steps"] == 6 for row in rows.values())
    assert rows["plain"]["kflop_per_voxel"]["plain"] > 0
    assert len((tmp_path / "out" / "ablation.md").read_text().splitlines()) == 2 + len(variants)
    before = (tmp_path / "out" / "full" / "checkpoint.pt").stat().st_mtime_ns
    main(path, out=tmp_path / "out", text_bank=tmp_path)  # nothing is done twice
    assert (tmp_path / "out" / "full" / "checkpoint.pt").stat().st_mtime_ns == before


def test_plain_net_has_the_interface_of_dsm_net():
    config = ModelConfig(name="plain", organs=("liver", "spleen"), tumors=(), text_dim=4)
    net = PlainNet(config, torch.zeros(2, 4), filters=8).eval()
    with torch.inference_mode():
        encoding = net.encode(torch.rand(1, 1, 32, 32, 32))
        prompts = PromptBatch(
            text=torch.zeros(3, 4),
            organ_index=torch.tensor([1, -1, 0]),
            is_tumor=torch.tensor([False, True, False]),
            tumor_index=torch.full((3,), -1),
        )
        decoded = net.decode(encoding, prompts)
        torch.testing.assert_close(decoded.logits[:, 0], encoding.embedding[:, 1])
        assert (decoded.logits[:, 1] == -10).all()
        chosen = net.mask_head(encoding.organ_queries[:, [0]], encoding.embedding)
        torch.testing.assert_close(chosen[:, 0], encoding.embedding[:, 0])
    assert flops_per_voxel(net, config) > 1000
