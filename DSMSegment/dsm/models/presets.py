"""Named sizes of the network."""

from __future__ import annotations

import difflib

from dsm.errors import ConfigError
from dsm.models.config import ModelConfig
from dsm.text.organ_sets import ORGANS, TUMORS

# What all CT sets of the first training keep (some are 8-bit); a preset that is trained on more may widen it.
_SOFT_TISSUE = ((-125.0, 275.0),)

_PRESETS = {
    config.name: config
    for config in (
        # For tests: every block is there, nothing is large.
        ModelConfig(
            name="dsm-tiny",
            organs=ORGANS,
            tumors=("liver tumor",),
            channels=(8, 12, 16, 24),
            num_blocks=(1, 1, 1, 1),
            decoder_channels=(12, 16, 24),
            embed_dim=16,
            query_dim=32,
            num_heads=4,
            layers_per_level=1,
            windows_hu=_SOFT_TISSUE,
            visual_prompt=True,
        ),
        # The CPU default: about 45 kFLOP per voxel of the working grid.
        ModelConfig(
            name="dsm-small",
            organs=ORGANS,
            tumors=("liver tumor",),
            channels=(32, 64, 128, 192),
            decoder_channels=(64, 96, 128),
            windows_hu=_SOFT_TISSUE,
            visual_prompt=True,
        ),
        # For GPUs: four times the cost, and a vector of its own for every tumor of DSM.
        ModelConfig(
            name="dsm-base",
            organs=ORGANS,
            tumors=TUMORS,
            channels=(48, 96, 192, 320),
            num_blocks=(1, 2, 3, 3),
            decoder_channels=(96, 192, 256),
            embed_dim=48,
            query_dim=256,
            windows_hu=_SOFT_TISSUE,
            visual_prompt=True,
        ),
    )
}

PRESET_NAMES = tuple(_PRESETS)


def preset(name: str) -> ModelConfig:
    """Return the configuration of a named size, untrained.

    Raises:
        ConfigError: If there is no such size.

    Example:
        >>> preset("dsm-small").channels
        (32, 64, 128, 192)
    """
    if name not in _PRESETS:
        near = difflib.get_close_matches(name, PRESET_NAMES, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(PRESET_NAMES)}."
        raise ConfigError(f"There is no preset {name!r}.", hint=hint)
    return _PRESETS[name]
