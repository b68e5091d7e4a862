"""Text embeddings of prompts: from the bank, or from the text tower for names it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dsm.core.prompt import Prompt
from dsm.errors import ConfigError
from dsm.text.bank import EmbeddingBank

if TYPE_CHECKING:
    from dsm.text.encoder import TextEncoder

# Raw cosine to the nearest name of the bank below which words are called far off. Measured with MiniLM on phrases
# that the vocabulary does not resolve: warns on 83 % of 60 nonsense phrases ("quarterly report") and on 12 % of 74
# real structures that are not in the vocabulary ("cingulate gyrus"); AUROC 0.93. A hint, then, not a gate.
FAR_OFF = 0.44

_CACHED_WORDS = 256


class PromptEmbedder:
    """Text embeddings of prompts.

    Args:
        bank: The model's bank.
        tower: Text tower for words outside the bank; must be the one the bank was built with. It is loaded on the
            first such word, which takes seconds and needs torch and open_clip.

    Raises:
        ConfigError: If the bank comes from another tower.
    """

    def __init__(self, bank: EmbeddingBank, tower: str = "minilm") -> None:
        if tower != bank.tower:
            msg = f"The text bank was built with the tower {bank.tower!r}, the model wants {tower!r}."
            raise ConfigError(msg, hint="Install the model again, or rebuild its bank.")
        self._bank = bank
        self._encoder: TextEncoder | None = None
        self._rows = {name: row for row, name in enumerate(bank.names)}
        self._encoded: dict[str, np.ndarray] = {}

    def embed(self, prompts: Sequence[Prompt]) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        """Embed P prompts.

        Returns:
            `(P, dim)` float32 centred unit vectors, and P tuples of warnings about words far from all known names.

        Raises:
            MissingDependencyError: If a word is not in the bank and the text tower is not installed.
        """
        self._encode_missing([prompt.name for prompt in prompts if prompt.name not in self._rows])
        raw = np.zeros((len(prompts), self._bank.mean.size), np.float32)
        warnings: list[tuple[str, ...]] = []
        for number, prompt in enumerate(prompts):
            row = self._rows.get(prompt.name)
            raw[number] = self._encoded[prompt.name] if row is None else self._bank.vectors[row]
            warnings.append(() if row is not None else self._far_off(prompt, raw[number]))
        return self._bank.centred(raw), warnings

    def _encode_missing(self, names: list[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in self._encoded]
        if not new:
            return
        if self._encoder is None:
            from dsm.text.encoder import TextEncoder

            self._encoder = TextEncoder(self._bank.tower)
        if len(self._encoded) + len(new) > _CACHED_WORDS:
            kept = set(names)
            self._encoded = {name: vector for name, vector in self._encoded.items() if name in kept}
        self._encoded.update(zip(new, self._encoder.encode(new), strict=True))

    def _far_off(self, prompt: Prompt, raw: np.ndarray) -> tuple[str, ...]:
        similarity = self._bank.vectors @ raw
        nearest = int(similarity.argmax())
        if prompt.structure is not None or similarity[nearest] >= FAR_OFF:
            return ()
        name = self._bank.names[nearest]
        return (
            f"'{prompt.text}' is far from everything DSM knows (nearest: '{name}', similarity "
            f"{similarity[nearest]:.2f}): the result may mean nothing.",
        )
