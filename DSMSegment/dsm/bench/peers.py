"""Other pipelines: their networks with random weights, grids and windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from dsm.bench.plain_unet import PlainUNet
from dsm.bench.windows import Windows
from dsm.nn.dsm_net import DSMNet
from dsm.nn.prompt_batch import PromptBatch
from dsm.text.organ_sets import ORGANS

_WIDTHS = (32, 64, 128, 256, 320, 320)
_WITH_BACKGROUND = len(ORGANS) + 1
_VOXTELL_TEXT_DIM = 2560


@dataclass(frozen=True, slots=True)
class Peer:
    """A pipeline that slides a network over a whole volume.

    Args:
        title: As people call it.
        source: Where the sizes come from.
        spacing_mm: Of its grid; None for that of the scan.
        windows: Over that grid.
        num_classes: Channels of the logits; the fewest that the real one needs for 25 organs where it may choose. With
            one, what is above 0 is inside.
        num_nets: Networks of this size that are run one after another.
        build: Makes the network.
        dtype: In which it adds up logits.
        output_stride: Voxels of the grid a voxel of the logits.
        only_full: Too slow for `--quick`.
        most_windows: That are run, where one takes a minute.
        needs: Module that has to be installed, or the pipeline is left out.
    """

    title: str
    source: str
    spacing_mm: float | None
    windows: Windows
    num_classes: int
    build: Callable[[], Callable[[Tensor], Tensor]]
    num_nets: int = 1
    dtype: torch.dtype = torch.float32
    output_stride: int = 1
    only_full: bool = False
    most_windows: int = 10**6
    needs: str | None = None

    @property
    def is_installed(self) -> bool:
        """True if the packages of the pipeline are installed."""
        return self.needs is None or find_spec(self.needs) is not None


def _totalsegmentator_3mm() -> nn.Module:
    return PlainUNet(_WIDTHS[:5], 118).eval()


def _totalsegmentator_15mm() -> nn.Module:
    return PlainUNet(_WIDTHS, 25).eval()


def _segresnet() -> nn.Module:
    from monai.networks.nets import SegResNet  # noqa: PLC0415  (heavy, and only here)

    net: nn.Module = SegResNet(
        spatial_dims=3,
        init_filters=32,
        in_channels=1,
        out_channels=_WITH_BACKGROUND,
        blocks_down=(1, 2, 2, 4),
        blocks_up=(1, 1, 1),
    )
    return net.eval()


def _swin_unetr() -> nn.Module:
    from monai.networks.nets import SwinUNETR  # noqa: PLC0415

    net: nn.Module = SwinUNETR(in_channels=1, out_channels=_WITH_BACKGROUND, feature_size=48)
    return net.eval()


def _vista3d() -> Callable[[Tensor], Tensor]:
    from monai.networks.nets import vista3d132  # noqa: PLC0415

    net = vista3d132(in_channels=1).eval()
    classes = torch.arange(1, len(ORGANS) + 1)[:, None]

    def run(window: Tensor) -> Tensor:
        masks: Tensor = net(window, class_vector=classes)
        return masks.transpose(0, 1)

    return run


def _voxtell() -> Callable[[Tensor], Tensor]:
    from voxtell.model.voxtell_model import VoxTellModel  # noqa: PLC0415

    net = VoxTellModel(
        input_channels=1,
        n_stages=len(_WIDTHS),
        features_per_stage=_WIDTHS,
        conv_op=nn.Conv3d,
        kernel_sizes=[(3, 3, 3)] * len(_WIDTHS),
        strides=[(1, 1, 1), *[(2, 2, 2)] * (len(_WIDTHS) - 1)],
        n_blocks_per_stage=(1, 3, 4, 6, 6, 6),
        n_conv_per_stage_decoder=[1] * (len(_WIDTHS) - 1),
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        text_embedding_dim=_VOXTELL_TEXT_DIM,
        query_dim=2048,
        project_to_decoder_hidden_dim=2048,
        num_heads=32,
    ).eval()
    text = torch.randn(1, 1, _VOXTELL_TEXT_DIM)

    def run(window: Tensor) -> Tensor:
        logits: Tensor = net(window, text)
        return logits

    return run


def _dsm_reference() -> Callable[[Tensor], Tensor]:
    from dsm.training.reference_backbone import reference_net  # noqa: PLC0415

    net: DSMNet = reference_net().eval()
    organs = torch.arange(len(ORGANS))
    is_tumor = torch.zeros(len(organs), dtype=torch.bool)
    prompts = PromptBatch(torch.zeros(len(organs), 384), organs, is_tumor, torch.full_like(organs, -1))

    def run(window: Tensor) -> Tensor:
        logits: Tensor = net(window, prompts).logits
        return logits

    return run


PEERS = {
    "totalsegmentator-3mm": Peer(
        title="TotalSegmentator 3 mm",
        source="nnU-Net plan of task 297: 5 stages, 112×112×128, step 0.8, 118 classes",
        spacing_mm=3.0,
        windows=Windows((112, 112, 128), 0.8),
        num_classes=118,
        build=_totalsegmentator_3mm,
        dtype=torch.float16,
    ),
    "totalsegmentator-1.5mm": Peer(
        title="TotalSegmentator 1.5 mm",
        source="five networks of 6 stages, 128³, step 0.8, 25 classes each",
        spacing_mm=1.5,
        windows=Windows((128, 128, 128), 0.8),
        num_classes=25,
        build=_totalsegmentator_15mm,
        num_nets=5,
        dtype=torch.float16,
    ),
    "segresnet": Peer(
        title="MONAI SegResNet 1.5 mm",
        source="whole-body bundle: 32 filters, 96³, overlap 0.25; here 26 classes, there 105",
        spacing_mm=1.5,
        windows=Windows((96, 96, 96), 0.75),
        num_classes=_WITH_BACKGROUND,
        build=_segresnet,
    ),
    "swin-unetr": Peer(
        title="SwinUNETR-48 1.5 mm",
        source="backbone of the published DSM: 96³, overlap 0.5, 26 classes",
        spacing_mm=1.5,
        windows=Windows((96, 96, 96), 0.5),
        num_classes=_WITH_BACKGROUND,
        build=_swin_unetr,
    ),
    "dsm-reference": Peer(
        title="dsm-reference 1.5 mm",
        source="published DSM: SwinUNETR-48, 45 queries of 512, 96³, overlap 0.5, 25 organs",
        spacing_mm=1.5,
        windows=Windows((96, 96, 96), 0.5),
        num_classes=len(ORGANS),
        build=_dsm_reference,
        output_stride=2,
    ),
    "vista3d": Peer(
        title="VISTA3D 1.5 mm",
        source="vista3d132: 128³, overlap 0.3, 25 classes",
        spacing_mm=1.5,
        windows=Windows((128, 128, 128), 0.7),
        num_classes=len(ORGANS),
        build=_vista3d,
        only_full=True,
    ),
    "voxtell": Peer(
        title="VoxTell, one prompt",
        source="voxtell 0.1.2, 440 M parameters: 192³ on the grid of the scan, step 0.5; without its text encoder",
        spacing_mm=None,
        windows=Windows((192, 192, 192), 0.5),
        num_classes=1,
        build=_voxtell,
        only_full=True,
        most_windows=1,
        needs="voxtell",
    ),
}
