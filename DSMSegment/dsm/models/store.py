"""Model folders of this machine, and verification of their files against published hashes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dsm.core.prompt import Prompt
from dsm.core.user_folders import user_data_dir
from dsm.errors import DSMError, ModelError, ModelNotFoundError, WeightsError
from dsm.models.click_files import WEIGHTS_FILE as CLICKS_FILE
from dsm.models.click_files import click_files
from dsm.models.config import CONFIG_FILE, ModelConfig
from dsm.text.bank_file import BANK_FILE, bank_path

logger = logging.getLogger(__name__)

MANIFEST_FILE = "manifest.json"
MANIFEST_VERSION = 1
MODEL_DIR_VARIABLE = "DSM_MODEL_DIR"

# Inside the package where pip installed it from a wheel; beside it in a source tree and in an extension of Slicer.
_WHEEL_MODELS = Path(__file__).resolve().parents[1] / "model_weights"
_SOURCE_TREE_MODELS = Path(__file__).resolve().parents[3] / "model_weights"
_WEIGHTS_FILE = "model.safetensors"  # as in dsm.models.weights, which imports torch
# What a manifest must list: without these it would vouch for nothing.
_REQUIRED_FILES = frozenset({CONFIG_FILE, _WEIGHTS_FILE})
_REINSTALL = "Install the model again."


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """An installed model.

    Args:
        name: What `find_model` takes.
        path: Its folder.
        num_bytes: Size of the files in its manifest.
        digest: SHA-256 over configuration and weights: two folders with the same digest hold the same network. Model
            card, logs and text bank do not count.
        weights_sha256: SHA-256 of the weights alone: what a licence was accepted for.
        text_bank_sha256: SHA-256 of the text bank; empty if the manifest lists none.
        clicks_sha256: SHA-256 of the weights of the click network; empty for a model that takes no clicks.
    """

    name: str
    path: Path
    num_bytes: int
    digest: str
    weights_sha256: str
    text_bank_sha256: str
    clicks_sha256: str

    @property
    def has_clicks(self) -> bool:
        """True if the model segments clicked objects."""
        return bool(self.clicks_sha256)

    def check_clicks(self, prompts: Iterable[Prompt]) -> None:
        """Check that the model takes the clicks of the prompts, if they have any.

        Raises:
            ModelError: Code `"model.clicks"`.
        """
        if not self.has_clicks and any(prompt.clicks for prompt in prompts):
            raise no_click_network(self.name)


def no_click_network(model: str) -> ModelError:
    """Return the error for clicks that a model does not take."""
    return ModelError(
        f"The model {model!r} takes no clicks: it has no click network.",
        code="model.clicks",
        hint="Choose a model with clicks; `dsm models list` shows them.",
    )


def user_model_dir() -> Path:
    """Return the folder for models that a user installs."""
    return user_data_dir() / "models"


def model_dirs() -> list[Path]:
    """Return the search path: `$DSM_MODEL_DIR`, the user's own folder, then the bundled models."""
    named = os.environ.get(MODEL_DIR_VARIABLE, "")
    shipped = [_WHEEL_MODELS] if _WHEEL_MODELS.is_dir() else []
    return [Path(part) for part in named.split(os.pathsep) if part] + [user_model_dir(), *shipped, _SOURCE_TREE_MODELS]


def find_model(name_or_path: str | Path) -> Path:
    """Find the folder of a model.

    Args:
        name_or_path: A name such as `"dsm-small"`, or a folder.

    Raises:
        ModelNotFoundError: If there is no such model.
    """
    name = str(name_or_path)
    if not _looks_like_path(name):
        for folder in model_dirs():
            if _is_model(folder / name):
                return folder / name
    if _is_model(Path(name)):
        return Path(name)
    if _looks_like_path(name):
        raise ModelNotFoundError(f"{name} is not a model folder (no {CONFIG_FILE}).", hint="Check the path.")
    installed = ", ".join(entry.name for entry in list_models()) or "none"
    raise ModelNotFoundError(
        f"No model {name!r} is installed (installed: {installed}).",
        hint=f"Run `dsm models install FILE`, give a folder, or set {MODEL_DIR_VARIABLE} to where models are.",
    )


def list_models() -> list[ModelEntry]:
    """List the installed models by name; folders without a readable manifest are left out."""
    found: dict[str, ModelEntry] = {}
    for folder in model_dirs():
        children = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in children:
            if _is_model(path) and path.name not in found and not path.name.startswith("."):
                try:
                    found[path.name] = model_entry(path)
                except WeightsError as error:
                    say_damaged(path.name, error)
    return sorted(found.values(), key=lambda entry: entry.name)


def say_damaged(name: str, error: DSMError) -> None:
    """Say, once a process, that a model is not used because it is damaged, and what to do."""
    _say_once(f"{name} is not used: {error} Install it again, or remove it (`dsm models verify` checks all files).")


@lru_cache(maxsize=64)  # models are listed at each key stroke
def _say_once(text: str) -> None:
    logger.error(text)


def model_name(folder: Path) -> str:
    """Return the name of the model in `folder`: the folder's name or, at the root of a drive, the config's.

    Raises:
        ModelError: If the folder has no name and holds no model.
    """
    return folder.resolve().name or ModelConfig.load(folder).name


def model_entry(folder: str | Path) -> ModelEntry:
    """Describe the model in `folder` from its manifest, without reading its weights.

    Raises:
        WeightsError: If the manifest is missing, damaged or of another version.
    """
    folder = Path(folder)
    files = _read_manifest(folder)
    return ModelEntry(
        name=model_name(folder),
        path=folder,
        num_bytes=sum(item["bytes"] for item in files.values()),
        digest=_sha256_of_text("\n".join(files[name]["sha256"] for name in (CONFIG_FILE, _WEIGHTS_FILE))),
        weights_sha256=files[_WEIGHTS_FILE]["sha256"],
        text_bank_sha256=files.get(BANK_FILE, {}).get("sha256", ""),
        clicks_sha256=files.get(CLICKS_FILE, {}).get("sha256", ""),
    )


def verify_model(folder: str | Path) -> ModelEntry:
    """Check every file of a model against its manifest: size and SHA-256.

    Raises:
        ModelNotFoundError: If the folder is no model.
        WeightsError: If a file is missing, was changed, or belongs to another schema version.
    """
    folder = Path(folder)
    ModelConfig.load(folder)  # another schema version is a better answer than "was changed"
    files = _read_manifest(folder)
    for name, path in _located(folder, files).items():
        item = files[name]
        if not path.is_file():
            raise WeightsError(f"{path} of the model is missing.", hint=_REINSTALL)
        size = path.stat().st_size
        if size != item["bytes"] or sha256_of_file(path) != item["sha256"]:
            raise WeightsError(
                f"{path} is damaged: it is not the file that the manifest of the model lists.",
                hint=_REINSTALL,
                details=f"bytes {size}, expected {item['bytes']} with SHA-256 {item['sha256']}",
            )
    return model_entry(folder)


def model_files(folder: str | Path) -> dict[str, Path]:
    """Return the files that the manifest of a model lists, by their names in it; the manifest itself is not among them.

    The text bank may be the shared one, and the click network that of another model, outside of the folder.

    Raises:
        WeightsError: If the manifest is missing, damaged or of another version.
    """
    return _located(Path(folder), _read_manifest(Path(folder)))


def write_manifest(folder: str | Path) -> Path:
    """Write `manifest.json` with size and SHA-256 of every other file under `folder`; call it last.

    A folder without a text bank uses the shared one, which is then listed, as is the click network of another model
    (`dsm.models.click_files`). The licence and the model card are listed
    too, so that an installed model always comes with them.
    """
    folder = Path(folder)
    paths = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    paths.setdefault(BANK_FILE, bank_path(folder))
    paths |= click_files(folder)
    files = {
        name: {"sha256": sha256_of_file(path), "bytes": path.stat().st_size} for name, path in sorted(paths.items())
    }
    manifest = folder / MANIFEST_FILE
    text = json.dumps({"manifest_version": MANIFEST_VERSION, "files": files}, indent=1)
    manifest.write_text(text + "\n", encoding="utf-8")
    return manifest


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST_FILE and not path.name.startswith("."):
            yield path


def _located(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    elsewhere = {BANK_FILE: bank_path(folder), **click_files(folder)}
    return {name: elsewhere.get(name, folder / name) for name in names}


def _looks_like_path(name: str) -> bool:
    return os.sep in name or "/" in name or name in {"", ".", ".."}


def _is_model(folder: Path) -> bool:
    return (folder / CONFIG_FILE).is_file()


def _read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version, files = manifest["manifest_version"], manifest["files"]
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing, so the model cannot be checked.", hint=_REINSTALL) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged.", hint=_REINSTALL, details=repr(error)) from error
    if version != MANIFEST_VERSION:
        raise WeightsError(
            f"{path} has version {version}; this program reads version {MANIFEST_VERSION}.",
            code="model.schema",
            hint="Install the model that belongs to this version of DSMSegment.",
        )
    if not _is_file_table(files):
        raise WeightsError(f"{path} is damaged.", hint=_REINSTALL)
    return dict(files)


def _is_file_table(files: Any) -> bool:
    """Return whether names stay inside the folder and every file has its size and hash."""
    return (
        isinstance(files, dict)
        and files.keys() >= _REQUIRED_FILES
        and all(
            isinstance(item, dict)
            and isinstance(item.get("bytes"), int)
            and isinstance(item.get("sha256"), str)
            and not Path(name).anchor
            and ".." not in Path(name).parts
            for name, item in files.items()
        )
    )


def _sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
