"""Text embeddings of known names, in a file: names of the vocabulary need neither text tower nor torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dsm.errors import WeightsError
from dsm.text.bank_file import BANK_FILE, bank_path


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingBank:
    """Raw embeddings of N names from one text tower, and the mean that centres them.

    Text vectors share one large component ("something medical"); what tells names apart is the rest. The mean was
    computed once, over the first bank, and is kept when names are added: trained weights depend on it.

    Args:
        names: N names.
        vectors: `(N, dim)` float32 unit vectors, not centred.
        mean: `(dim,)` float32.
        tower: The text tower they came from, as `dsm.text.encoder` names it.
    """

    names: tuple[str, ...]
    vectors: np.ndarray
    mean: np.ndarray
    tower: str = "minilm"

    @classmethod
    def load(cls, folder: str | Path) -> EmbeddingBank:
        """Read `text_bank.safetensors` in a folder.

        Raises:
            WeightsError: If the file is missing, damaged or not a bank.
        """
        path = Path(folder) / BANK_FILE
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                names = tuple(json.loads(metadata["names"]))
                vectors, mean = file.get_tensor("vectors"), file.get_tensor("mean")
                tower = metadata["tower"]
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            msg = f"The text bank {path} is missing or damaged."
            raise WeightsError(msg, hint="Install the model again.", details=repr(error)) from error
        if vectors.shape != (len(names), mean.size):
            msg = f"The text bank {path} has {len(names)} names, but vectors of shape {vectors.shape}."
            raise WeightsError(msg, hint="Install the model again.")
        return cls(names, _unit(vectors.astype(np.float32)), mean.astype(np.float32), tower)

    @classmethod
    def of_model(cls, folder: str | Path) -> EmbeddingBank:
        """Read the bank of a model folder, or the shared one where the folder has none.

        Raises:
            WeightsError: If the file is damaged or not a bank.
        """
        return cls.load(bank_path(folder).parent)

    def save(self, folder: str | Path) -> Path:
        """Write `text_bank.safetensors` into `folder`; vectors as float16, the mean as float32."""
        path = Path(folder) / BANK_FILE
        tensors: dict[str, np.ndarray] = {
            "vectors": self.vectors.astype(np.float16),
            "mean": self.mean.astype(np.float32),
        }
        save_file(tensors, path, metadata={"names": json.dumps(self.names), "tower": self.tower})
        return path

    def vector(self, name: str) -> np.ndarray | None:
        """Return the raw unit vector `(dim,)` of `name`; None if the bank does not have it."""
        try:
            row = self.names.index(name)
        except ValueError:
            return None
        vector: np.ndarray = self.vectors[row]
        return vector

    def centred(self, raw: np.ndarray) -> np.ndarray:
        """Return raw unit vectors `(..., dim)` as the network takes them: mean removed, length 1."""
        return _unit(raw - self.mean)


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit
