"""Network configuration: `config.json` of a model folder."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from dsm.errors import ConfigError, ModelNotFoundError, WeightsError

SCHEMA_VERSION = 1
CONFIG_FILE = "config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Everything needed to build the network and to feed it.

    Args:
        name: Name of the model, e.g. `"dsm-small"`.
        organs: Names of the organ queries, in their order.
        tumors: Names of the tumor queries with a learned vector, in their order.
        structures: Names outside the organ set with a learned vector, decoded as free text is: they cost nothing where
            they are not asked for, and may lie inside of one another.
        trained: Names that the training labels contained; others are zero-shot.
        only_in: For `"CT"` and `"MR"`, the trained names whose labels were on scans of that modality alone.
        channels: Encoder widths at 3, 6, 12 and 24 mm.
        num_blocks: Residual blocks at 3, 6, 12 and 24 mm.
        decoder_channels: Pixel decoder widths at 6, 12 and 24 mm.
        embed_dim: Channels of the embedding at 3 mm.
        query_dim: Channels of the queries.
        num_heads: Attention heads.
        layers_per_level: k-means layers at each of 24, 12 and 6 mm.
        text_dim: Channels of the text vectors.
        text_tower: Which tower made them.
        spacing_mm: Working grid.
        windows_hu: One intensity channel each, mapped to [0, 1].
        state_space_refinement: Refine the k-means assignment at 12 and 24 mm (off for an ablation).
        visual_prompt: Denoise a coarse mask of each tumor prompt and let it steer the tumor queries.
        organ_offset: Added to the logits of organs of the set, so that 0.5 is a good threshold for most.
        tumor_offset: Added to the logits of trained tumors, so that 0.5 is a good threshold; found on training cases.
        tumor_part_confidence: For each trained tumor, components of its mask whose mean probability is lower are
            dropped; 0 for a tumor that is not listed. Found on training cases.
        schema_version: Version of this file's layout.
    """

    name: str
    organs: tuple[str, ...]
    tumors: tuple[str, ...]
    structures: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()
    only_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    channels: tuple[int, ...] = (24, 48, 96, 192)
    num_blocks: tuple[int, ...] = (1, 1, 2, 2)
    decoder_channels: tuple[int, ...] = (48, 96, 128)
    embed_dim: int = 32
    query_dim: int = 128
    num_heads: int = 8
    layers_per_level: int = 2
    text_dim: int = 384
    text_tower: str = "minilm"
    spacing_mm: float = 1.5
    windows_hu: tuple[tuple[float, float], ...] = ((-125.0, 275.0),)
    state_space_refinement: bool = True
    visual_prompt: bool = False
    organ_offset: float = 0.0
    tumor_offset: float = 0.0
    tumor_part_confidence: Mapping[str, float] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def num_channels(self) -> int:
        """Input channels."""
        return len(self.windows_hu)

    @property
    def num_organs(self) -> int:
        """Organ queries."""
        return len(self.organs)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Build from parsed JSON.

        Raises:
            WeightsError: If the schema is of another version.
            ConfigError: If a key is unknown or missing.
        """
        version = values.get("schema_version")
        if version != SCHEMA_VERSION:
            raise WeightsError(
                f"The model has schema version {version}; this program reads version {SCHEMA_VERSION}.",
                code="model.schema",
                hint="Install the model that belongs to this version of DSMSegment.",
            )
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                raise ConfigError(
                    f"Unknown key {key!r} in the model configuration.",
                    hint=f"Did you mean {near[0]!r}?" if near else "Remove it.",
                )
        try:
            return cls(**{key: as_tuples(value) for key, value in values.items()})
        except TypeError as error:
            raise ConfigError(f"The model configuration is incomplete: {error}.") from error

    @classmethod
    def load(cls, folder: Path | str) -> ModelConfig:
        """Read `config.json` of a model folder."""
        path = Path(folder) / CONFIG_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelNotFoundError(
                f"{path} does not exist.", hint="Run `dsm models list` to see what is installed."
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise WeightsError(f"{path} is not valid JSON: {error}.", hint="Install the model again.") from error
        if not isinstance(values, dict):
            raise WeightsError(f"{path} is not a model configuration.", hint="Install the model again.")
        return cls.from_dict(values)

    def save(self, folder: Path | str) -> None:
        """Write `config.json` into a model folder."""
        Path(folder, CONFIG_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def as_tuples(value: Any) -> Any:
    """Return parsed JSON or YAML with tuples for lists, so that settings cannot change."""
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    return tuple(as_tuples(item) for item in value) if isinstance(value, list) else value
