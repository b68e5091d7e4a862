"""The models that can be chosen: those that came with the extension, and those that the user installed."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from dsm.errors import OutputError, WeightsError
from dsm.models.config import CONFIG_FILE, ModelConfig
from dsm.models.store import ModelEntry, list_models, model_entry, verify_model

_CARD = "MODEL_CARD.md"
_LICENCE_ROW = re.compile(r"^\|\s*Licen[cs]e of the weights\s*\|\s*(.+?)\s*\|", re.MULTILINE)
# Random weights for tests: not for people.
_HIDDEN = "dsm-tiny"


class ModelLibrary:
    """Lists, installs and deletes models.

    Args:
        folder: Where installed models go; made when the first one comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def models(self) -> list[ModelEntry]:
        """Return what can be chosen, by name; a model that the user installed hides a shipped one of its name."""
        found = {entry.name: entry for entry in list_models() if entry.name != _HIDDEN}
        for path in sorted(self.folder.glob(f"*/{CONFIG_FILE}")) if self.folder.is_dir() else []:
            try:
                found[path.parent.name] = model_entry(path.parent)
            except WeightsError:  # damaged: nothing that one could choose
                continue
        return sorted(found.values(), key=lambda entry: entry.name)

    def install(self, source: Path) -> ModelEntry:
        """Install a model from a folder or a `.zip` file; it is there whole, or not at all.

        Raises:
            ModelNotFoundError: If `source` is no model.
            WeightsError: If a file is damaged: each is checked against the manifest.
            OutputError: If it cannot be written.
        """
        with tempfile.TemporaryDirectory() as unpacked:
            if source.suffix == ".zip":
                shutil.unpack_archive(source, unpacked)
                inside = next(Path(unpacked).rglob(CONFIG_FILE), Path(unpacked, CONFIG_FILE)).parent
                name = source.stem if inside == Path(unpacked) else inside.name
            else:
                inside, name = source, source.resolve().name
            verify_model(inside)
            target = self.folder / name
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                part = Path(tempfile.mkdtemp(prefix=".part-", dir=self.folder))
                try:
                    shutil.copytree(inside, part, dirs_exist_ok=True)
                    if target.exists():
                        shutil.rmtree(target)
                    part.rename(target)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
            except OSError as error:
                raise OutputError(
                    f"The model cannot be copied to {self.folder} ({error.strerror}).", hint="Free some space."
                ) from error
        return verify_model(target)

    def isInstalled(self, entry: ModelEntry) -> bool:
        """Whether the user installed the model, so that it can be deleted."""
        return entry.path.resolve().parent == self.folder.resolve()

    def delete(self, entry: ModelEntry) -> None:
        """Delete a model that the user installed."""
        if self.isInstalled(entry):
            shutil.rmtree(entry.path)


def licenceOf(entry: ModelEntry) -> str:
    """Return what the model card says about the licence of the weights, in one line; empty where it says nothing."""
    card = entry.path / _CARD
    match = _LICENCE_ROW.search(card.read_text(encoding="utf-8")) if card.is_file() else None
    return match[1] if match else ""


def trainedNames(entry: ModelEntry) -> tuple[str, ...]:
    """Return the names that the model was trained on."""
    return ModelConfig.load(entry.path).trained
