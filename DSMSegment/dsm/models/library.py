"""Model library: list, install and remove models."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from dsm.core.name_status import names_of_other_modality
from dsm.errors import DSMError, InputError, JobCancelled, OutputError, WeightsError
from dsm.models.archive import unpack_model
from dsm.models.card import licence_of
from dsm.models.config import CONFIG_FILE, ModelConfig
from dsm.models.store import (
    MANIFEST_FILE,
    ModelEntry,
    list_models,
    model_entry,
    model_files,
    model_name,
    say_damaged,
    sha256_of_file,
    user_model_dir,
    verify_model,
)
from dsm.progress import ProgressCallback, ignore_progress

# Random weights for tests: not for people.
_HIDDEN = "dsm-tiny"
_NAME = re.compile(r"\w[\w .+-]{0,62}\w|\w")
_SHA256_IN_URL = re.compile(r"#sha256=([0-9a-fA-F]{64})$")


class ModelLibrary:
    """Lists, installs and removes models.

    Args:
        folder: Where installed models go, made when the first one comes; by default the user's own folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_model_dir()

    def models(self) -> list[ModelEntry]:
        """Return the available models by name; a model that the user installed hides a bundled one of its name."""
        found = {entry.name: entry for entry in list_models() if entry.name != _HIDDEN}
        for path in sorted(self.folder.glob(f"*/{CONFIG_FILE}")) if self.folder.is_dir() else []:
            if path.parent.name.startswith("."):
                continue  # left by an installation that was killed
            try:
                found[path.parent.name] = model_entry(path.parent)
            except WeightsError as error:  # nothing that one could choose
                say_damaged(path.parent.name, error)
        return sorted(found.values(), key=lambda entry: entry.name)

    def install(
        self,
        source: str | Path,
        *,
        name: str | None = None,
        sha256: str | None = None,
        accept: Callable[[str, str], bool] | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> ModelEntry:
        """Install a model atomically.

        Args:
            source: A model folder, a `.zip` file, or the `https://` or `file://` address of one. An address may end in
                `#sha256=` and a hash.
            name: Name to install it under; by default that of its folder.
            sha256: Expected hash of the archive, in hexadecimal.
            accept: Takes the name and the licence of the weights; returns whether the user agrees. None: do not ask.
            progress: Stages `"download"` (bytes), `"check"`, `"write"`; may raise `JobCancelled`.

        Raises:
            InputError: If the source or the name cannot be used.
            ModelNotFoundError: If `source` is no model.
            DownloadError: If it cannot be fetched.
            WeightsError: If the archive has another hash or is unsafe, or a file is not the one in its manifest.
            JobCancelled: If the user does not agree.
            OutputError: If it cannot be written.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="dsm-model-", ignore_cleanup_errors=True) as place:
                inside, found_name = _fetched(source, Path(place), sha256, progress)
                name = _checked_name(name or found_name)
                progress("check", 0, 1)
                verify_model(inside)
                progress("check", 1, 1)
                licence = licence_of(inside)
                if accept is not None and not accept(name, licence):
                    raise JobCancelled(f"The licence of {name} was not accepted; nothing was installed.")
                self._put(inside, name, progress)
        except DSMError:
            raise
        except OSError as error:
            raise OutputError(
                f"The model cannot be copied to {self.folder} ({error.strerror or error}).",
                hint="Free some space, or choose a folder that you may write to.",
            ) from error
        return verify_model(self.folder / name)

    def is_removable(self, entry: ModelEntry) -> bool:
        """Return whether the user installed the model; bundled models are not removed."""
        return entry.path.resolve().parent in (self.folder.resolve(), user_model_dir().resolve())

    def remove(self, entry: ModelEntry) -> None:
        """Delete the files of a model that the user installed.

        Raises:
            InputError: If it came with the program.
            OutputError: If a file is in use or may not be deleted.
        """
        if not self.is_removable(entry):
            raise InputError(
                f"{entry.name} came with the program ({entry.path}).", hint="Only installed models can be removed."
            )
        try:
            shutil.rmtree(entry.path)
        except OSError as error:
            raise OutputError(
                f"{error.filename} cannot be deleted ({error.strerror}).", hint="Close what uses the model."
            ) from error

    def _put(self, inside: Path, name: str, progress: ProgressCallback) -> None:
        """Copy what the manifest lists beside the target, then rename."""
        files = {**model_files(inside), MANIFEST_FILE: inside / MANIFEST_FILE}
        target = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=self.folder))
        try:
            new, old = part / "new", part / "old"
            for number, (file, path) in enumerate(files.items()):
                progress("write", number, len(files))
                (new / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, new / file)
            if target.exists():
                target.rename(old)
            try:
                new.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
            progress("write", len(files), len(files))
        finally:
            shutil.rmtree(part, ignore_errors=True)


@lru_cache(maxsize=64)  # asked at each key stroke; a folder that gets another configuration has another digest
def trained_names(entry: ModelEntry, modality: str = "") -> tuple[str, ...]:
    """Return the names that the model was trained on.

    Args:
        entry: Of the model.
        modality: `"CT"` or `"MR"`: without those that it was shown in the other one only; empty for all.
    """
    config = _config(entry)
    limited = names_of_other_modality(config.only_in, modality)
    return tuple(name for name in config.trained if name not in limited)


def names_of_one_modality(entry: ModelEntry) -> Mapping[str, tuple[str, ...]]:
    """Return the names that the model was trained on in one modality only, by modality."""
    return _config(entry).only_in


@lru_cache(maxsize=64)  # as above
def _config(entry: ModelEntry) -> ModelConfig:
    return ModelConfig.load(entry.path)


def _fetched(source: str | Path, place: Path, sha256: str | None, progress: ProgressCallback) -> tuple[Path, str]:
    """Folder of the model, and the name that it has there."""
    from dsm.models.download import download, is_url, local_path  # noqa: PLC0415  # HTTP: only listing needs none

    text = str(source)
    if is_url(text):
        if match := _SHA256_IN_URL.search(text):
            if sha256 and sha256.lower() != match[1].lower():
                raise InputError("The address and --sha256 name different hashes.", hint="Leave one of them out.")
            text, sha256 = text[: match.start()], match[1]
        path = local_path(text) or download(text, place, progress=progress)
    else:
        path = Path(source)
    if path.is_dir():
        if sha256:
            raise InputError(f"{path} is a folder; a hash is of an archive.", hint="Leave the hash out.")
        return path, model_name(path)
    if sha256 and path.is_file() and sha256_of_file(path) != sha256.lower():
        raise WeightsError(
            f"{path.name} is not the expected archive: its SHA-256 is {sha256_of_file(path)}.",
            hint="Download it again, or check where it came from.",
        )
    unpacked = place / "unpacked"
    unpacked.mkdir()
    inside = unpack_model(path, unpacked)
    return inside, path.stem if inside == unpacked else inside.name


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a model.", hint="Use letters, digits, points, dashes, underscores."
        )
    return name
