"""Installation of models: complete and verified, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dsm.errors import DSMError, InputError, JobCancelled, ModelNotFoundError, WeightsError
from dsm.models.archive import pack_model
from dsm.models.card import licence_key, licence_of
from dsm.models.library import ModelLibrary, trained_names
from dsm.models.store import model_entry, verify_model, write_manifest


@pytest.fixture
def library(tmp_path: Path) -> ModelLibrary:
    return ModelLibrary(tmp_path / "models")


@pytest.fixture
def source(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "my model"))


def names(library: ModelLibrary) -> list[str]:
    return [entry.name for entry in library.models()]


def test_shipped_models_are_listed_and_test_model_is_not(library: ModelLibrary) -> None:
    assert "dsm-small" in names(library)
    assert "dsm-tiny" not in names(library)


def test_folder_is_installed_and_removed(library: ModelLibrary, source: Path) -> None:
    entry = library.install(source)
    assert names(library) == ["dsm-brain", "dsm-head-heart", "dsm-small", "my model"]
    assert library.is_removable(entry)
    library.remove(entry)
    assert names(library) == ["dsm-brain", "dsm-head-heart", "dsm-small"]


def test_only_files_in_the_manifest_are_copied(library: ModelLibrary, source: Path) -> None:
    (source / "checkpoint.pt").write_bytes(b"x" * 1000)
    entry = library.install(source)
    assert not (entry.path / "checkpoint.pt").exists()
    assert sorted(path.name for path in entry.path.iterdir()) == sorted(
        [*json.loads((source / "manifest.json").read_text())["files"], "manifest.json"]
    )


def test_archive_is_installed_by_path_and_by_address(library: ModelLibrary, source: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a b.zip"
    digest = pack_model(source, archive)
    assert library.install(archive, sha256=digest).name == "my model"
    assert library.install(archive.as_uri() + f"#sha256={digest}", name="other").name == "other"
    assert verify_model(library.folder / "other").digest == model_entry(source).digest


def test_archive_without_a_top_level_folder(library: ModelLibrary, source: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "flat"), "zip", source)
    assert library.install(archive).name == "flat"


def test_archive_with_another_hash_is_refused(library: ModelLibrary, source: Path, tmp_path: Path) -> None:
    pack_model(source, tmp_path / "a.zip")
    with pytest.raises(WeightsError, match="not the expected archive"):
        library.install(tmp_path / "a.zip", sha256="0" * 64)
    with pytest.raises(InputError, match="different hashes"):
        library.install((tmp_path / "a.zip").as_uri() + "#sha256=" + "1" * 64, sha256="0" * 64)
    assert not library.folder.exists()


def test_damaged_model_is_refused_without_writing(library: ModelLibrary, source: Path) -> None:
    with (source / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(WeightsError, match="damaged"):
        library.install(source)
    assert not library.folder.exists()


def test_source_without_a_model_is_refused(library: ModelLibrary, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "missing", tmp_path / "missing.zip"):
        with pytest.raises(ModelNotFoundError) as caught:
            library.install(wrong)
        assert caught.value.hint


@pytest.mark.parametrize("name", ["../out", ".hidden", "a/b", "a\\b", "C:x", " ", "x" * 65, "a\nb"])
def test_invalid_folder_name_is_refused(library: ModelLibrary, source: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name"):
        library.install(source, name=name)
    assert not library.folder.exists()


def test_second_install_replaces_the_first(library: ModelLibrary, source: Path) -> None:
    library.install(source)
    (source / "NOTE.md").write_text("new")
    write_manifest(source)
    library.install(source)
    assert [path.name for path in library.folder.iterdir()] == ["my model"]
    assert (library.folder / "my model" / "NOTE.md").is_file()


def test_cancel_while_writing_keeps_the_installed_model(library: ModelLibrary, source: Path) -> None:
    before = library.install(source)
    (source / "NOTE.md").write_text("new")
    write_manifest(source)

    def cancel(stage: str, done: int, _total: int) -> None:
        if stage == "write" and done == 2:
            raise JobCancelled("enough")

    with pytest.raises(JobCancelled):
        library.install(source, progress=cancel)
    assert verify_model(library.folder / "my model") == before
    assert [path.name for path in library.folder.iterdir()] == ["my model"]


def test_partial_installation_is_not_listed(library: ModelLibrary, source: Path) -> None:
    library.folder.mkdir()
    shutil.copytree(source, library.folder / ".part-x")
    assert names(library) == ["dsm-brain", "dsm-head-heart", "dsm-small"]


def test_full_disk_is_reported(library: ModelLibrary, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dsm.models.library.shutil.copyfile", full)
    with pytest.raises(DSMError, match=r"cannot be copied to .* \(No space left on device\)") as caught:
        library.install(source)
    assert "Free some space" in caught.value.hint
    assert list(library.folder.iterdir()) == []


def test_licence_must_be_accepted_before_installation(library: ModelLibrary, source: Path) -> None:
    (source / "MODEL_CARD.md").write_text("| Licence of the weights | Public domain |\n")
    write_manifest(source)
    asked: list[tuple[str, str]] = []
    with pytest.raises(JobCancelled, match="not accepted"):
        library.install(source, accept=lambda *question: bool(asked.append(question)))
    assert asked == [("my model", "Public domain")]
    assert not library.folder.exists()


@pytest.mark.parametrize("name", ["dsm-brain", "dsm-head-heart", "dsm-small"])
def test_shipped_model_cannot_be_removed(library: ModelLibrary, name: str) -> None:
    (entry,) = (entry for entry in library.models() if entry.name == name)
    assert not library.is_removable(entry)
    with pytest.raises(InputError, match="came with the program"):
        library.remove(entry)
    assert entry.path.is_dir()


def test_licence_and_names_come_from_the_model(library: ModelLibrary) -> None:
    (entry,) = (entry for entry in library.models() if entry.name == "dsm-small")
    assert licence_of(entry.path).startswith("CC BY-NC-SA 4.0")
    assert "liver" in trained_names(entry)


@pytest.mark.parametrize(
    ("name", "text", "asked_again"),
    [
        ("MODEL_CARD.md", "| Licence of the weights | Public domain |\n\nA typo mended.\n", False),
        ("training_log.jsonl", "{}\n", False),
        ("MODEL_CARD.md", "| Licence of the weights | Private |\n", True),
    ],
)
def test_licence_key_changes_only_with_weights_or_licence(
    source: Path, name: str, text: str, asked_again: bool
) -> None:
    (source / "MODEL_CARD.md").write_text("| Licence of the weights | Public domain |\n\nA tyop.\n")
    write_manifest(source)
    before = licence_key(model_entry(source))
    (source / name).write_text(text)
    write_manifest(source)
    assert (licence_key(model_entry(source)) != before) == asked_again
    with (source / "model.safetensors").open("ab") as file:
        file.write(b"x")
    write_manifest(source)
    assert licence_key(model_entry(source)) != before
