"""Configuration fields read by the network (provided by `dsm.models.config.ModelConfig`)."""

from __future__ import annotations

from typing import Protocol


class NetworkConfig(Protocol):
    """Sizes of the network; see `ModelConfig` for their meaning."""

    @property
    def num_channels(self) -> int: ...  # noqa: D102
    @property
    def num_organs(self) -> int: ...  # noqa: D102
    @property
    def tumors(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def structures(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def channels(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def num_blocks(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def decoder_channels(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def embed_dim(self) -> int: ...  # noqa: D102
    @property
    def query_dim(self) -> int: ...  # noqa: D102
    @property
    def num_heads(self) -> int: ...  # noqa: D102
    @property
    def layers_per_level(self) -> int: ...  # noqa: D102
    @property
    def text_dim(self) -> int: ...  # noqa: D102
    @property
    def state_space_refinement(self) -> bool: ...  # noqa: D102
    @property
    def visual_prompt(self) -> bool: ...  # noqa: D102
