"""Weights of the click network in and out of a folder: safetensors, float16 on disk, beside `clicks.json`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dsm.errors import ModelNotFoundError, WeightsError
from dsm.models.click_files import CONFIG_FILE, WEIGHTS_FILE, clicks_folder
from dsm.models.store import model_dirs
from dsm.nn.click_refiner import ClickRefiner, ClickRefinerConfig

_REINSTALL = "Install the click network again."


def find_refiner(name_or_path: str | Path) -> Path:
    """Find the folder of a click network: a name such as `"clicks"` among the installed models, or a folder.

    Raises:
        ModelNotFoundError: If there is none.
    """
    for folder in (*(models / str(name_or_path) for models in model_dirs()), Path(name_or_path)):
        if (folder / CONFIG_FILE).is_file():
            return folder
    raise ModelNotFoundError(
        f"No click network {str(name_or_path)!r} is installed (a folder with {CONFIG_FILE}).",
        hint="Train one with `dsm train recipes/clicks.yaml`, or give its folder.",
    )


def save_refiner(net: ClickRefiner, config: ClickRefinerConfig, folder: Path | str) -> None:
    """Write `clicks.json` and `clicks.safetensors`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")
    tensors = {
        name: value.detach().cpu().contiguous().half() if value.is_floating_point() else value.detach().cpu()
        for name, value in net.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS_FILE)


def load_refiner(folder: Path | str) -> tuple[ClickRefiner, ClickRefinerConfig]:
    """Read the click network of a model or of its own folder; float32 in memory, in evaluation mode.

    Raises:
        ModelNotFoundError: If the folder has none.
        WeightsError: If a file is damaged or belongs to another network.
    """
    folder = clicks_folder(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise ModelNotFoundError(f"{folder / name} does not exist.", hint=_REINSTALL)
    try:
        config = _config(json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")))
        net = ClickRefiner(config)
        tensors = load_file(folder / WEIGHTS_FILE)
        net.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in tensors.items()})
    except (SafetensorError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(
            f"The click network in {folder} cannot be read.", hint=_REINSTALL, details=str(error)
        ) from error
    return net.eval().requires_grad_(requires_grad=False), config


def _config(values: dict[str, Any]) -> ClickRefinerConfig:
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return ClickRefinerConfig(**settings)
