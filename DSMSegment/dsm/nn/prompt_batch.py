"""Prompts as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Several prompts.

    Args:
        text: Centred text vectors of unit length `(prompts, text_dim)`.
        organ_index: Row in the organ set `(prompts,)`, int64; -1 for a name outside it.
        tumor_index: Row in the tumor set `(prompts,)`, int64; -1 for a name outside it.
        structure_index: Row among the further structures `(prompts,)`, int64; -1 for a name outside; None: all are.
        is_tumor: Whether the prompt names an abnormality `(prompts,)`, bool.
    """

    text: Tensor
    organ_index: Tensor
    is_tumor: Tensor
    tumor_index: Tensor
    structure_index: Tensor | None = None

    @classmethod
    def from_text(cls, text: Tensor, *, is_tumor: bool = False) -> PromptBatch:
        """Prompts known by their text only."""
        none = torch.full((len(text),), -1, dtype=torch.long, device=text.device)
        return cls(text, none, torch.full_like(none, is_tumor, dtype=torch.bool), none)

    def __len__(self) -> int:
        return len(self.text)
