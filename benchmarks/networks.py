"""Other pipelines: their networks with random weights, grids and windows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dsm.bench.peer import Peer
from dsm.bench.plain_unet import PlainUNet
from dsm.bench.totalsegmentator import WIDTHS
from dsm.bench.windows import Windows
from dsm.nn.dsm_net import DSMNet
from dsm.nn.prompt_batch import PromptBatch
from dsm.text.organ_sets import ORGANS

_WITH_BACKGROUND = len(ORGANS) + 1
_VOXTELL_TEXT_DIM = 2560


def _totalsegmentator_15mm() -> nn.Module:
    return PlainUNet(WIDTHS, 25).eval()


def _segresnet() -> nn.Module:
    from monai.networks.nets import SegResNet

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
    from monai.networks.nets import SwinUNETR

    net: nn.Module = SwinUNETR(in_channels=1, out_channels=_WITH_BACKGROUND, feature_size=48)
    return net.eval()


def _vista3d() -> Callable[[Tensor], Tensor]:
    from monai.networks.nets import vista3d132

    net = vista3d132(in_channels=1).eval()
    classes = torch.arange(1, len(ORGANS) + 1)[:, None]

    def run(window: Tensor) -> Tensor:
        masks: Tensor = net(window, class_vector=classes)
        return masks.transpose(0, 1)

    return run


def _voxtell() -> Callable[[Tensor], Tensor]:
    from voxtell.model.voxtell_model import VoxTellModel

    net = VoxTellModel(
        input_channels=1,
        n_stages=len(WIDTHS),
        features_per_stage=WIDTHS,
        conv_op=nn.Conv3d,
        kernel_sizes=[(3, 3, 3)] * len(WIDTHS),
        strides=[(1, 1, 1), *[(2, 2, 2)] * (len(WIDTHS) - 1)],
        n_blocks_per_stage=(1, 3, 4, 6, 6, 6),
        n_conv_per_stage_decoder=[1] * (len(WIDTHS) - 1),
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
    from benchmarks.reference_backbone import reference_net

    net: DSMNet = reference_net().eval()
    organs = torch.arange(len(ORGANS))
    is_tumor = torch.zeros(len(organs), dtype=torch.bool)
    prompts = PromptBatch(torch.zeros(len(organs), 384), organs, is_tumor, torch.full_like(organs, -1))

    def run(window: Tensor) -> Tensor:
        logits: Tensor = net(window, prompts).logits
        return logits

    return run


TOTALSEGMENTATOR_15MM = Peer(
    name="totalsegmentator-1.5mm",
    title="TotalSegmentator 1.5 mm",
    source="five networks of 6 stages, 128³, step 0.8, 25 classes each",
    spacing_mm=1.5,
    windows=Windows((128, 128, 128), 0.8),
    num_classes=25,
    build=_totalsegmentator_15mm,
    num_nets=5,
    dtype=torch.float16,
)
SEGRESNET = Peer(
    name="segresnet",
    title="MONAI SegResNet 1.5 mm",
    source="whole-body bundle: 32 filters, 96³, overlap 0.25; here 26 classes, there 105",
    spacing_mm=1.5,
    windows=Windows((96, 96, 96), 0.75),
    num_classes=_WITH_BACKGROUND,
    build=_segresnet,
)
SWIN_UNETR = Peer(
    name="swin-unetr",
    title="SwinUNETR-48 1.5 mm",
    source="backbone of the published DSM: 96³, overlap 0.5, 26 classes",
    spacing_mm=1.5,
    windows=Windows((96, 96, 96), 0.5),
    num_classes=_WITH_BACKGROUND,
    build=_swin_unetr,
)
DSM_REFERENCE = Peer(
    name="dsm-reference",
    title="dsm-reference 1.5 mm",
    source="published DSM: SwinUNETR-48, 45 queries of 512, 96³, overlap 0.5, 25 organs",
    spacing_mm=1.5,
    windows=Windows((96, 96, 96), 0.5),
    num_classes=len(ORGANS),
    build=_dsm_reference,
    output_stride=2,
)
VISTA3D = Peer(
    name="vista3d",
    title="VISTA3D 1.5 mm",
    source="vista3d132: 128³, overlap 0.3, 25 classes",
    spacing_mm=1.5,
    windows=Windows((128, 128, 128), 0.7),
    num_classes=len(ORGANS),
    build=_vista3d,
)
VOXTELL = Peer(
    name="voxtell",
    title="VoxTell, one prompt",
    source="voxtell 0.1.2, 440 M parameters: 192³ on the grid of the scan, step 0.5; without its text encoder",
    spacing_mm=None,
    windows=Windows((192, 192, 192), 0.5),
    num_classes=1,
    build=_voxtell,
)
