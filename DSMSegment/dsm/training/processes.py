"""Data-parallel training: each process takes a share of the crops of a step."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import torch
from torch import distributed, nn


@dataclass(frozen=True, slots=True)
class Processes:
    """Process group; by default this process alone.

    Gradients are added up after the backward pass, so that any number of processes takes the step that one would take
    with the same crops.

    Args:
        rank: Number of this process.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def from_environment(cls) -> Processes:
        """Join the processes that `torchrun` started; alone without it."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return cls(rank=distributed.get_rank(), count=distributed.get_world_size())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.count > 1:
            distributed.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """True for the process that writes files and logs."""
        return self.rank == 0

    def share(self, crops: int) -> range:
        """Numbers of the crops of a step that are this process's."""
        return range(self.rank, crops, self.count)

    def add_up(self, modules: Sequence[nn.Module], sums: dict[str, float]) -> dict[str, float]:
        """Add gradients and the parts of the loss over all processes, average running statistics."""
        if self.count == 1:
            return sums
        for module in modules:
            for parameter in module.parameters():
                if not parameter.requires_grad:
                    continue
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)
            for buffer in module.buffers():
                if buffer.is_floating_point():
                    distributed.all_reduce(buffer)
                    buffer.div_(self.count)
        gathered: list[dict[str, float] | None] = [None] * self.count
        distributed.all_gather_object(gathered, sums)
        names = dict.fromkeys(name for part in gathered if part for name in part)
        return {name: sum(part.get(name, 0.0) for part in gathered if part) for name in names}
