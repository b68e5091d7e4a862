"""Models that the user installs: whole and checked, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dsm.errors import ModelNotFoundError, WeightsError
from DSMSegmentLib.model_library import ModelLibrary, licenceOf, trainedNames

SHIPPED = Path(__file__).parents[2] / "model_weights" / "dsm-small"


@pytest.fixture
def library(tmp_path: Path) -> ModelLibrary:
    return ModelLibrary(tmp_path / "models")


@pytest.fixture
def source(dsm_tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dsm_tiny, tmp_path / "my model"))


def names(library: ModelLibrary) -> list[str]:
    return [entry.name for entry in library.models()]


def test_shipped_model_is_listed_and_the_one_for_tests_is_not(library: ModelLibrary) -> None:
    assert "dsm-small" in names(library)
    assert "dsm-tiny" not in names(library)


def test_folder_is_installed_and_deleted(library: ModelLibrary, source: Path) -> None:
    entry = library.install(source)
    assert names(library) == ["dsm-small", "my model"]
    assert library.isInstalled(entry)
    library.delete(entry)
    assert names(library) == ["dsm-small"]


def test_archive_is_installed(library: ModelLibrary, source: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path, source.name)
    assert library.install(Path(archive)).name == "my model"


def test_damaged_model_is_refused_and_leaves_nothing(library: ModelLibrary, source: Path) -> None:
    with (source / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(WeightsError, match="damaged"):
        library.install(source)
    assert not library.folder.exists()


def test_folder_that_is_no_model_is_refused(library: ModelLibrary, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFoundError):
        library.install(tmp_path / "empty")


def test_second_install_replaces_the_first(library: ModelLibrary, source: Path) -> None:
    library.install(source)
    library.install(source)
    assert [path.name for path in library.folder.iterdir()] == ["my model"]


def test_shipped_model_cannot_be_deleted(library: ModelLibrary) -> None:
    (entry,) = library.models()
    assert not library.isInstalled(entry)
    library.delete(entry)
    assert entry.path.is_dir()


def test_licence_and_names_come_from_the_model(library: ModelLibrary) -> None:
    (entry,) = library.models()
    assert licenceOf(entry).startswith("CC BY-NC-SA 4.0")
    assert "liver" in trainedNames(entry)
