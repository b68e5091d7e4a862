import hashlib
import json
import shutil
import sys
import types
from pathlib import Path

import pytest

from dsm.cli.main import main
from dsm.models import store
from dsm.text.vocabulary import load_vocabulary


@pytest.fixture
def models(tiny_model, tmp_path, monkeypatch):
    folder = tmp_path / "models"
    shutil.copytree(tiny_model, folder / "dsm-tiny")
    monkeypatch.setenv("DSM_MODEL_DIR", str(folder))
    monkeypatch.setattr(store, "_SOURCE_TREE_MODELS", tmp_path / "nothing")
    return folder


def output(capsys, *arguments, code=0):
    assert main(list(arguments)) == code
    return capsys.readouterr().out


class TestModels:
    def test_list(self, models, capsys):
        name, size, clicks, path = output(capsys, "models", "list").strip().split("\t")
        assert name == "dsm-tiny"
        assert size.endswith(" MB")
        assert clicks == "no clicks"
        assert path == str(models / "dsm-tiny")
        (entry,) = json.loads(output(capsys, "models", "list", "--json"))
        assert entry["name"] == "dsm-tiny"
        assert entry["num_bytes"] > 10_000

    def test_verify(self, models, capsys):
        assert output(capsys, "models", "verify").startswith("dsm-tiny\tok\t")
        assert output(capsys, "models", "verify", "dsm-tiny").startswith("dsm-tiny\tok\t")
        with (models / "dsm-tiny" / "text_bank.safetensors").open("ab") as file:
            file.write(b"x")
        assert main(["models", "verify", "dsm-tiny"]) == 2
        assert "is damaged" in capsys.readouterr().err

    def test_path(self, models, capsys, tmp_path):
        assert output(capsys, "models", "path", "dsm-tiny") == f"{models / 'dsm-tiny'}\n"
        searched = output(capsys, "models", "path").splitlines()
        assert searched == [str(models), str(store.user_model_dir()), str(tmp_path / "nothing")]

    @pytest.mark.parametrize("action", ["list", "verify"])
    def test_none_installed(self, models, capsys, action):
        shutil.rmtree(models)
        assert output(capsys, "models", action).startswith("No model is installed in")


class TestInstallAndRemove:
    @pytest.fixture(autouse=True)
    def user_folder(self, models, tmp_path, monkeypatch):
        monkeypatch.setattr(store, "user_model_dir", lambda: tmp_path / "user")
        monkeypatch.setattr("dsm.models.library.user_model_dir", lambda: tmp_path / "user")

    @pytest.fixture
    def archive(self, models, tmp_path, capsys):
        hexadecimal, path = output(capsys, "models", "pack", "dsm-tiny", "-o", str(tmp_path / "a.zip")).split()
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == hexadecimal
        return f"{Path(path).as_uri()}#sha256={hexadecimal}"

    def test_packed_installed_listed_removed(self, archive, models, tmp_path, capsys):
        shutil.rmtree(models)
        name, _size, path = output(capsys, "models", "install", archive, "--yes").strip().split("\t")
        assert (name, path) == ("dsm-tiny", str(tmp_path / "user" / "dsm-tiny"))
        (entry,) = json.loads(output(capsys, "models", "list", "--json"))
        assert entry["path"] == path
        assert output(capsys, "models", "remove", "dsm-tiny", "--yes") == "dsm-tiny was removed.\n"
        assert output(capsys, "models", "list").startswith("No model is installed in")

    def test_licence_is_shown_and_must_be_accepted(self, archive, tmp_path, capsys, monkeypatch):
        assert main(["models", "install", archive]) == 2
        shown = capsys.readouterr().err
        assert "Weights of dsm-tiny: see their model card." in shown
        assert "Give --yes if you agree." in shown
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda _question: "n")
        assert main(["models", "install", archive]) == 130
        assert not (tmp_path / "user").exists()
        monkeypatch.setattr("builtins.input", lambda _question: "y")
        assert main(["models", "install", archive]) == 0

    def test_shipped_model_is_not_removed(self, models, capsys):
        assert main(["models", "remove", "dsm-tiny", "--yes"]) == 2
        assert "came with the program" in capsys.readouterr().err
        assert (models / "dsm-tiny").is_dir()

    def test_damaged_archive(self, archive, tmp_path, capsys):
        (tmp_path / "a.zip").write_bytes(b"PK")
        assert main(["models", "install", str(tmp_path / "a.zip"), "--yes"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


class TestInfo:
    def test_text_output(self, models, capsys):
        text = output(capsys, "info")
        assert "torch" in text
        assert "dsm-tiny" in text

    def test_without_models(self, models, capsys):
        shutil.rmtree(models)
        assert output(capsys, "info").endswith("  none\n")


class TestVocabulary:
    def test_all_names_are_listed(self, capsys):
        names = [line.split("  ")[0] for line in output(capsys, "vocabulary").splitlines()]
        assert sorted(names) == sorted(structure.name for structure in load_vocabulary().structures)
        assert {"liver", "left kidney", "pancreatic tumor"} <= set(names)

    def test_search_shows_synonyms(self, capsys):
        assert any(line.startswith("liver") for line in output(capsys, "vocabulary", "liver").splitlines())

    def test_german_french_and_spanish_names_are_found_and_shown(self, capsys):
        for word in ("Milz", "rate", "bazo"):
            lines = output(capsys, "vocabulary", word).splitlines()
            assert any(line.startswith("spleen  ") and "Milz, rate, bazo" in line for line in lines)
        found = {item["name"]: item for item in json.loads(output(capsys, "vocabulary", "Milz", "--json"))}
        assert found["spleen"]["foreign_names"] == ["Milz", "rate", "bazo"]

    def test_json_contains_terminology_codes(self, capsys):
        found = {item["name"]: item for item in json.loads(output(capsys, "vocabulary", "liver", "--json"))}
        assert found["liver"]["code"] == {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}

    def test_other_model_trained_on_the_name_is_listed(self, body_model, capsys):
        (line,) = output(capsys, "vocabulary", "breastbone").splitlines()
        assert line.startswith("sternum  learned by dsm-body  ")
        (item,) = json.loads(output(capsys, "vocabulary", "breastbone", "--json"))
        assert (item["name_kind"], item["learned_by"]) == ("unknown", "dsm-body")
        (line,) = output(capsys, "vocabulary", "breastbone", "--model", "dsm-body").splitlines()
        assert line.startswith("sternum  learned  ")

    def test_unknown_name_gets_a_suggestion(self, capsys):
        assert main(["vocabulary", "livre"]) == 2
        assert "liver" in capsys.readouterr().err


def fake_module(monkeypatch, name, **functions):
    """Put a module in the place of one that would take seconds to import."""
    module = types.ModuleType(name)
    for key, value in functions.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)
    parent, _, child = name.rpartition(".")
    __import__(parent)
    monkeypatch.setattr(sys.modules[parent], child, module, raising=False)


def test_evaluate_forwards_options(monkeypatch, capsys, tmp_path):
    calls = {}

    def evaluate_dataset(dataset, **options):
        calls.update(options, dataset=dataset)
        mean = {"mean": 0.75, "low": 0.7, "high": 0.8, "n": 2}
        return {"mean_dice": mean, "labels": {"liver": {"kind": "organ", "dice": mean}, "spleen": {"kind": "organ"}}}

    fake_module(monkeypatch, "dsm.evaluation.evaluate", evaluate_dataset=evaluate_dataset)
    out = tmp_path / "report.json"
    arguments = ["--cases", "a, b", "--prompts", "liver; spleen", "--split", "validation", "--out", str(out)]
    lines = output(capsys, "evaluate", str(tmp_path), "--model", "m", *arguments).splitlines()
    assert calls["dataset"] == tmp_path
    assert calls["model"] == "m"
    assert calls["cases"] == ["a", "b"]
    assert calls["prompts"] == ["liver", "spleen"]
    assert calls["split"] == "validation"
    assert calls["out"] == out
    assert [line.split()[:2] for line in lines] == [["liver", "0.750"], ["spleen", "-"], ["mean", "0.750"]]


def test_evaluate_validates_the_compared_report_first(monkeypatch, capsys, tmp_path):
    mean = {"mean": 0.75, "low": 0.7, "high": 0.8, "n": 2}
    other = {"model": {"name": "old"}, "cases": {"a": {"liver": {"dice": 0.5}}}}

    def evaluate_dataset(dataset, *, compare_with, **options):
        assert compare_with == other
        return {"mean_dice": mean, "labels": {}, "comparison": {"other": "old", "mean_dice": mean}}

    fake_module(monkeypatch, "dsm.evaluation.evaluate", evaluate_dataset=evaluate_dataset)
    report = tmp_path / "old.json"
    arguments = ["evaluate", str(tmp_path), "--out", str(tmp_path / "new.json"), "--compare", str(report)]
    for content in ("not json", "[]", '{"cases": {}}', '{"cases": {"a": {"liver": 1}}}'):
        report.write_text(content)
        assert main(arguments) == 2
        assert "old.json" in capsys.readouterr().err
    report.write_text(json.dumps(other))
    assert "minus old" in output(capsys, *arguments)


def test_train_prints_the_folder(monkeypatch, capsys, tmp_path):
    fake_module(monkeypatch, "dsm.training.train", main=lambda recipe, out=None: out or recipe.parent)
    (tmp_path / "recipe.yaml").write_text("phases: []\n")
    assert output(capsys, "train", str(tmp_path / "recipe.yaml")) == f"{tmp_path}\n"


def test_worker_returns_exit_code(monkeypatch):
    fake_module(monkeypatch, "dsm.worker.process", main=lambda: 7)
    assert main(["worker"]) == 7
