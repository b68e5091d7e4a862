"""The whole network: encode a volume once, decode any number of prompts from the encoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.nn.encoder import Encoder
from dsm.nn.kmax_layer import KMaxSSMLayer, LevelMemory, LevelTokens, OrganState
from dsm.nn.mask_denoiser import MaskDenoiser
from dsm.nn.mask_head import MaskHead, PresenceHead
from dsm.nn.network_config import NetworkConfig
from dsm.nn.pixel_decoder import PixelDecoder, PixelFeatures
from dsm.nn.prompt_batch import PromptBatch
from dsm.nn.query_init import QueryInit
from dsm.nn.tumor_refine import TumorRefine
from dsm.ops.anomaly import anomaly_map
from dsm.ops.upsample import upsample_trilinear

STRIDE = 16  # edges of the input are multiples of this


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoded volume, sufficient for all later prompts; levels at 24, 12, 6 mm.

    Attributes:
        embedding: E, unit length, `(batch, embed_dim, I/2, J/2, K/2)`.
        organ_queries: Finished organ queries `(batch, organs, dim)`.
        organ_affinities: Mask logits of the organs at each k-means layer `(batch, organs, i, j, k)`: supervised.
        anomalies: Anomaly map at each level `(batch, i, j, k)` in [0, 1].
        memories: Tokens of each level.
        organ_states: Organ queries and claims inside each k-means layer.
        tumor_keys_values: Keys and values of each level for the tumor queries.
    """

    embedding: Tensor
    organ_queries: Tensor
    organ_affinities: tuple[Tensor, ...]
    anomalies: tuple[Tensor, ...]
    memories: tuple[LevelMemory, ...]
    organ_states: tuple[OrganState, ...]
    tumor_keys_values: tuple[Tensor, ...]


class Decoded(NamedTuple):
    """Mask logits `(batch, prompts, I/2, J/2, K/2)`, presence logits `(batch, prompts)`, queries."""

    logits: Tensor
    presence: Tensor
    queries: Tensor


def tumor_rows(prompts: PromptBatch) -> Tensor:
    """Rows of the prompts that are answered by tumor queries, int64."""
    return (prompts.is_tumor & (prompts.organ_index < 0)).nonzero()[:, 0]


class DSMNet(nn.Module):
    """DSM (Wu et al., arXiv 2506.12747) with gradients through every block.

    Args:
        config: Sizes.
        organ_text: Centred text vectors of the organ set `(organs, text_dim)`; kept with the weights.
        backbone: Maps intensities to `PixelFeatures` of the configured widths, in place of our encoder and pixel
            decoder: for comparison with other backbones. It cannot run in slabs.

    Note:
        Organ queries never see a prompt and prompts never see one another, so a result does not depend on what else
        was asked.
    """

    organ_text: Tensor

    def __init__(
        self, config: NetworkConfig, organ_text: Tensor | None = None, *, backbone: nn.Module | None = None
    ) -> None:
        super().__init__()
        dim, num_organs = config.query_dim, config.num_organs
        if organ_text is None:
            organ_text = torch.zeros(num_organs, config.text_dim)
        self.register_buffer("organ_text", organ_text)
        self.backbone = backbone
        if backbone is None:
            self.encoder = Encoder(config.num_channels, config.channels, config.num_blocks)
            self.pixel_decoder = PixelDecoder(config.channels, config.decoder_channels, config.embed_dim)
        coarse_to_fine = config.decoder_channels[::-1]
        self.tokens = nn.ModuleList(LevelTokens(channels, dim) for channels in coarse_to_fine)
        self.layers_per_level = config.layers_per_level
        self.kmax_layers = nn.ModuleList(
            KMaxSSMLayer(dim, config.num_heads, num_organs, refine=config.state_space_refinement and level < 2)
            for level in range(3)
            for _ in range(config.layers_per_level)
        )
        self.organ_init = QueryInit(config.text_dim, dim, num_organs)
        self.tumor_init = QueryInit(config.text_dim, dim, max(1, len(config.tumors)))
        if config.structures:  # they begin as what their text says
            self.structure_embedding = nn.Parameter(torch.zeros(len(config.structures), dim))
        self.tumor_layers = nn.ModuleList(TumorRefine(dim, config.num_heads) for _ in range(3))
        self.mask_head = MaskHead(dim, config.embed_dim)
        self.presence_head = PresenceHead(dim)
        self.anomaly_weight = nn.Parameter(torch.tensor(0.0))
        self.denoiser: MaskDenoiser | None = None
        if config.visual_prompt:
            self.denoiser = MaskDenoiser(dim, config.num_heads)
            self.visual_weight = nn.Parameter(torch.tensor(0.0))

    @property
    def fine_halo(self) -> int:
        """Input voxels that a slab needs on each side for `fine`."""
        return self.encoder.fine_halo

    def forward(self, x: Tensor, prompts: PromptBatch) -> Decoded:
        """Segment in one go: `decode(encode(x), prompts)`."""
        return self.decode(self.encode(x), prompts)

    def encode(self, x: Tensor, *, known_organs: Tensor | None = None) -> Encoding:
        """Encode intensities `(batch, channels, I, J, K)` in [0, 1], edges multiples of 16.

        Args:
            x: The volume on the working grid.
            known_organs: Organs whose learned vector may be used `(organs,)`, bool; training hides some.
        """
        if self.backbone is not None:
            return self.encode_pixels(self.backbone(x), known_organs=known_organs)
        return self.encode_pixels(self.pixel_features(*self.fine(x)), known_organs=known_organs)

    def fine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Stride-2 and stride-4 features; may be computed in slabs with `fine_halo` and joined."""
        return self.encoder.fine(x)

    def pixel_features(
        self, f2: Tensor, f4: Tensor, *, embed: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> PixelFeatures:
        """Decode the whole box from its stride-2 and stride-4 features, which are not needed any more afterwards.

        Args:
            f2: From `fine`.
            f4: From `fine`.
            embed: In place of `PixelDecoder.embed`, for one that works in parts.
        """
        levels = self.pixel_decoder.levels(f4, *self.encoder.coarse(f4))
        return PixelFeatures(*levels, (embed or self.pixel_decoder.embed)(f2, levels.f4))

    def encode_pixels(self, pixels: PixelFeatures, *, known_organs: Tensor | None = None) -> Encoding:
        """Group the voxels around the organ queries.

        Args:
            pixels: From `pixel_features`.
            known_organs: As in `encode`.
        """
        levels = pixels.f16, pixels.f8, pixels.f4
        memories = tuple(tokens(level) for tokens, level in zip(self.tokens, levels, strict=True))
        queries = self._organ_queries(len(pixels.embedding), known_organs)
        affinities, states = [], []
        for index, layer in enumerate(self.kmax_layers):
            level = index // self.layers_per_level
            queries, affinity, state = layer(queries, memories[level])
            affinities.append(affinity.unflatten(-1, levels[level].shape[2:]))
            states.append(state)
        last_of_level = affinities[self.layers_per_level - 1 :: self.layers_per_level]
        return Encoding(
            embedding=pixels.embedding,
            organ_queries=queries,
            organ_affinities=tuple(affinities),
            anomalies=tuple(anomaly_map(a.flatten(2)).unflatten(-1, a.shape[2:]) for a in last_of_level),
            memories=memories,
            organ_states=tuple(states),
            tumor_keys_values=self._tumor_keys_values(memories, levels),
        )

    def decode(self, encoding: Encoding, prompts: PromptBatch, *, visual_prompts: Tensor | None = None) -> Decoded:
        """Masks of some prompts.

        Args:
            encoding: From `encode`.
            prompts: What is looked for.
            visual_prompts: Where to look for each tumor prompt, in [0, 1], at 12 mm `(batch, tumor prompts, i, j, k)`;
                from the denoiser (`dsm.inference.visual_prompt`). Default: the anomaly maps.
        """
        queries = self.prompt_queries(encoding, prompts, visual_prompts=visual_prompts)
        logits = self.mask_head(queries, encoding.embedding)
        is_tumor = tumor_rows(prompts)
        if len(is_tumor):
            size = encoding.embedding.shape[2:]
            hint = self.anomaly_weight * (upsample_trilinear(encoding.anomalies[-1][:, None], size) - 0.5)
            if visual_prompts is not None and self.denoiser is not None:
                hint = hint + self.visual_weight * (upsample_trilinear(visual_prompts, size) - 0.5)
            logits.index_add_(1, is_tumor, hint.expand(-1, len(is_tumor), -1, -1, -1).to(logits.dtype))
        return Decoded(logits, self.presence_head(queries), queries)

    def predict_clean_masks(self, encoding: Encoding, prompts: PromptBatch, noisy: Tensor, time: Tensor) -> Tensor:
        """Clean coarse masks of the tumor prompts from noisy ones, as logits; one scan only.

        Args:
            encoding: From `encode`.
            prompts: What is looked for; only its tumors count.
            noisy: `(tumor prompts, hypotheses, i, j, k)` at 12 mm, masks in [-1, 1] plus noise.
            time: Noise level of each hypothesis in [0, 1].

        Returns:
            As `noisy`.
        """
        if self.denoiser is None:
            raise RuntimeError("This network was built without a visual prompt.")
        rows = tumor_rows(prompts)
        queries = self.tumor_init(prompts.text[rows], prompts.tumor_index[rows])[None]
        return self.denoiser(noisy, time, queries, encoding.memories[1], encoding.anomalies[1], encoding.organ_queries)

    def prompt_queries(
        self, encoding: Encoding, prompts: PromptBatch, *, visual_prompts: Tensor | None = None
    ) -> Tensor:
        """Finished queries `(batch, prompts, dim)`: by organ set, by text, or as tumors."""
        organs = encoding.organ_queries
        is_organ = prompts.organ_index >= 0
        is_tumor = prompts.is_tumor & ~is_organ
        is_text = ~is_organ & ~is_tumor
        result = organs[:, prompts.organ_index.clamp_min(0)]
        if is_text.any():
            rows = None if prompts.structure_index is None else prompts.structure_index[is_text]
            text = self._text_queries(encoding, prompts.text[is_text], rows)
            result = result.index_copy(1, is_text.nonzero()[:, 0], text)
        if is_tumor.any():
            start = self.tumor_init(prompts.text[is_tumor], prompts.tumor_index[is_tumor])
            tumor = self._tumor_queries(encoding, start, visual_prompts)
            result = result.index_copy(1, is_tumor.nonzero()[:, 0], tumor)
        return result

    def _organ_queries(self, batch: int, known_organs: Tensor | None) -> Tensor:
        ids = torch.arange(len(self.organ_text), device=self.organ_text.device)
        if known_organs is not None:
            ids = ids.where(known_organs, -1)
        return self.organ_init(self.organ_text, ids).expand(batch, -1, -1)

    def _text_queries(self, encoding: Encoding, text: Tensor, structures: Tensor | None) -> Tensor:
        ids = torch.full((len(text),), -1, dtype=torch.long, device=text.device)
        start = self.organ_init(text, ids)
        if structures is not None and (structures >= 0).any():
            known = (structures >= 0).to(start.dtype)[:, None]
            start = start + known * self.structure_embedding[structures.clamp_min(0)]
        queries = start.expand(len(encoding.embedding), -1, -1)
        for index, (layer, state) in enumerate(zip(self.kmax_layers, encoding.organ_states, strict=True)):
            queries = layer.prompt(queries, encoding.memories[index // self.layers_per_level], state)
        return queries

    def _tumor_queries(self, encoding: Encoding, start: Tensor, visual_prompts: Tensor | None) -> Tensor:
        queries = start.expand(len(encoding.embedding), -1, -1)
        for level, layer in enumerate(self.tumor_layers):
            i, j, k = encoding.anomalies[min(level, 1)].shape[1:]
            source = encoding.anomalies[level][:, None] if visual_prompts is None else visual_prompts
            prompt_map = F.adaptive_avg_pool3d(source, (i, j, k)).flatten(2)
            queries = layer(queries, encoding.tumor_keys_values[level], prompt_map, encoding.organ_queries)
        return queries

    def _tumor_keys_values(self, memories: tuple[LevelMemory, ...], levels: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Keys and values at 24, 12 and 12 mm: the finest level is pooled, its tokens would be most of the memory."""
        found = []
        for index, (layer, memory) in enumerate(zip(self.tumor_layers, memories, strict=True)):
            values = memory.values
            if index == 2:
                values = _halved(values, levels[2].shape[2:])
            found.append(layer.keys_values(values))
        return tuple(found)


def _halved(tokens: Tensor, size: torch.Size) -> Tensor:
    """Average the tokens of each 2³ voxels: `(batch, i·j·k, dim)` of a grid `size` → an eighth of them.

    An axis at a time, in the memory order of tokens: pooling wants channels first and would copy.
    """
    grid = tokens.unflatten(1, size)
    for axis in (3, 2, 1):
        even, odd = grid.unflatten(axis, (-1, 2)).unbind(axis + 1)
        grid = even + odd
    return grid.flatten(1, 3) / 8
