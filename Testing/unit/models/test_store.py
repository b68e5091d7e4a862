import json
import re
import zipfile
from pathlib import Path, PureWindowsPath

import pytest

from dsm.errors import ModelNotFoundError, WeightsError
from dsm.models import store
from dsm.models.archive import pack_model
from dsm.models.config import ModelConfig


def make_model(folder, *, name="dsm-tiny"):
    folder.mkdir(parents=True)
    ModelConfig(name=name, organs=("liver",), tumors=("liver tumor",)).save(folder)
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4)
    (folder / "text_bank.safetensors").write_bytes(b"bank")
    (folder / "MODEL_CARD.md").write_text("# Card\n")
    store.write_manifest(folder)
    return folder


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty place for models that nothing else is searched beside."""
    folder = tmp_path / "models"
    monkeypatch.setenv("DSM_MODEL_DIR", str(folder))
    monkeypatch.setattr(store, "_SOURCE_TREE_MODELS", tmp_path / "nothing")
    monkeypatch.chdir(tmp_path)
    return folder


class TestFind:
    def test_by_name(self, models):
        folder = make_model(models / "dsm-tiny")
        assert store.find_model("dsm-tiny") == folder

    def test_by_path(self, models, tmp_path):
        folder = make_model(tmp_path / "elsewhere" / "mine")
        assert store.find_model(folder) == folder
        assert store.find_model("elsewhere/mine").samefile(folder)

    def test_first_folder_wins(self, models, tmp_path, monkeypatch):
        first = make_model(tmp_path / "first" / "dsm-tiny")
        make_model(models / "dsm-tiny")
        monkeypatch.setenv("DSM_MODEL_DIR", f"{tmp_path / 'first'}:{models}")
        assert store.find_model("dsm-tiny") == first
        assert [entry.path for entry in store.list_models()] == [first]

    def test_unknown_name_lists_installed_models(self, models):
        make_model(models / "dsm-tiny")
        with pytest.raises(ModelNotFoundError, match=re.escape("(installed: dsm-tiny)")) as caught:
            store.find_model("dsm-huge")
        assert "DSM_MODEL_DIR" in caught.value.hint

    @pytest.mark.parametrize("name", ["nowhere/at-all", ".", "", "../x"])
    def test_path_without_a_model(self, models, name):
        with pytest.raises(ModelNotFoundError, match="is not a model folder"):
            store.find_model(name)

    def test_nothing_installed(self, models):
        assert store.list_models() == []
        with pytest.raises(ModelNotFoundError, match="installed: none"):
            store.find_model("dsm-small")


class TestVerify:
    def test_whole_model_passes(self, models):
        entry = store.verify_model(make_model(models / "dsm-tiny"))
        assert entry.name == "dsm-tiny"
        assert entry.num_bytes > 1024
        assert entry in store.list_models()

    @pytest.mark.parametrize("name", ["model.safetensors", "text_bank.safetensors", "MODEL_CARD.md"])
    def test_flipped_bit_is_detected(self, models, name):
        folder = make_model(models / "dsm-tiny")
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(WeightsError, match="is damaged") as caught:
            store.verify_model(folder)
        assert caught.value.code == "bad_checksum"
        assert caught.value.hint
        assert name in str(caught.value)

    def test_missing_file(self, models):
        folder = make_model(models / "dsm-tiny")
        (folder / "model.safetensors").unlink()
        with pytest.raises(WeightsError, match="is missing"):
            store.verify_model(folder)

    def test_missing_manifest(self, models):
        folder = make_model(models / "dsm-tiny")
        (folder / "manifest.json").unlink()
        with pytest.raises(WeightsError, match="cannot be checked"):
            store.verify_model(folder)
        assert store.list_models() == []

    def test_other_schema_of_the_model(self, models):
        folder = make_model(models / "dsm-tiny")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "schema_version": 99}))
        with pytest.raises(WeightsError, match="schema version 99") as caught:
            store.verify_model(folder)
        assert caught.value.code == "model.schema"

    def test_other_version_of_the_manifest(self, models):
        folder = make_model(models / "dsm-tiny")
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "manifest_version": 2}))
        with pytest.raises(WeightsError, match="has version 2"):
            store.verify_model(folder)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "null",
            '{"manifest_version": 1, "files": {}}',
            '{"manifest_version": 1, "files": {"config.json": 3, "model.safetensors": 4}}',
            '{"manifest_version": 1, "files": {"config.json": {"bytes": "x", "sha256": ""}, "model.safetensors": {}}}',
        ],
    )
    def test_damaged_manifest(self, models, text):
        folder = make_model(models / "dsm-tiny")
        (folder / "manifest.json").write_text(text)
        with pytest.raises(WeightsError, match="is damaged"):
            store.verify_model(folder)

    def test_manifest_with_path_outside_the_folder_is_refused(self, models):
        folder = make_model(models / "dsm-tiny")
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"]["../secret"] = {"bytes": 1, "sha256": "0"}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(WeightsError, match="is damaged"):
            store.verify_model(folder)

    def test_not_a_model(self, models, tmp_path):
        with pytest.raises(ModelNotFoundError):
            store.verify_model(tmp_path)


class TestDigest:
    """One digest, over what defines the network: for encodings, speeds and provenance."""

    @pytest.fixture
    def pair(self, models):
        return make_model(models / "a"), make_model(models / "b")

    def test_copies_have_the_same_digest(self, pair):
        first, second = map(store.model_entry, pair)
        assert (first.digest, first.weights_sha256) == (second.digest, second.weights_sha256)

    @pytest.mark.parametrize("name", ["MODEL_CARD.md", "training_log.jsonl", "text_bank.safetensors"])
    def test_other_text_files_do_not_change_the_digest(self, pair, name):
        (pair[1] / name).write_text("# Other\n")
        store.write_manifest(pair[1])
        first, second = map(store.verify_model, pair)
        assert first.digest == second.digest

    def test_other_text_bank_has_another_hash(self, pair):
        (pair[1] / "text_bank.safetensors").write_bytes(b"other")
        store.write_manifest(pair[1])
        first, second = map(store.model_entry, pair)
        assert first.text_bank_sha256 != second.text_bank_sha256

    @pytest.mark.parametrize(("name", "weights_stay"), [("model.safetensors", False), ("config.json", True)])
    def test_other_network_changes_the_digest(self, pair, name, weights_stay):
        path = pair[1] / name
        path.write_bytes(path.read_bytes() + b"\n")
        store.write_manifest(pair[1])
        first, second = map(store.verify_model, pair)
        assert first.digest != second.digest
        assert (first.weights_sha256 == second.weights_sha256) == weights_stay


@pytest.mark.parametrize("root", ["//server/share", "D:/"])
def test_model_at_the_root_of_a_drive_has_the_name_of_its_config(models, monkeypatch, root):
    assert PureWindowsPath(root).name == ""
    folder = make_model(models / "x", name="dsm-mine")
    monkeypatch.setattr(Path, "resolve", lambda self, strict=False: PureWindowsPath(root))
    assert store.model_entry(folder).name == store.verify_model(folder).name == "dsm-mine"


def test_manifest_lists_all_but_itself_and_hidden_files(models):
    folder = make_model(models / "dsm-tiny")
    (folder / ".DS_Store").write_text("x")
    store.write_manifest(folder)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert set(files) == {"config.json", "model.safetensors", "text_bank.safetensors", "MODEL_CARD.md"}


class TestSharedTextBank:
    @pytest.fixture
    def folder(self, models, tmp_path, monkeypatch):
        """A model without a text bank of its own."""
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared" / "text_bank.safetensors").write_bytes(b"shared")
        monkeypatch.setattr("dsm.text.bank_file.SHARED_BANK", tmp_path / "shared")
        folder = make_model(models / "dsm-tiny")
        (folder / "text_bank.safetensors").unlink()
        store.write_manifest(folder)
        return folder

    def test_shared_bank_is_listed_verified_and_packed(self, folder, tmp_path):
        files = store.model_files(folder)
        assert files["text_bank.safetensors"] == tmp_path / "shared" / "text_bank.safetensors"
        store.verify_model(folder)
        pack_model(folder, tmp_path / "a.zip")
        with zipfile.ZipFile(tmp_path / "a.zip") as packed:
            assert packed.read("dsm-tiny/text_bank.safetensors") == b"shared"

    def test_other_shared_bank_is_refused(self, folder, tmp_path):
        (tmp_path / "shared" / "text_bank.safetensors").write_bytes(b"others")
        with pytest.raises(WeightsError, match=r"text_bank\.safetensors is damaged"):
            store.verify_model(folder)

    def test_bank_of_the_model_folder_takes_precedence(self, folder):
        (folder / "text_bank.safetensors").write_bytes(b"mine")
        with pytest.raises(WeightsError, match="is damaged"):
            store.verify_model(folder)
        store.write_manifest(folder)
        assert store.model_files(store.verify_model(folder).path)["text_bank.safetensors"].parent == folder
