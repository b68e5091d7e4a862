"""`dsm-reference`, the published network: Swin UNETR-48 from MONAI as its backbone."""

from __future__ import annotations

from monai.networks.nets import SwinUNETR
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.models.config import ModelConfig
from dsm.nn.diffusion_fusion import DiffusionFusion
from dsm.nn.dsm_net import DSMNet
from dsm.nn.pixel_decoder import PixelFeatures
from dsm.text.organ_sets import ORGANS, TUMORS

# 45 queries of 512 channels on the widths of Swin UNETR-48, whose blocks per stage are 2.
REFERENCE = ModelConfig(
    name="dsm-reference",
    organs=ORGANS,
    tumors=TUMORS,
    channels=(48, 96, 192, 384),
    num_blocks=(2, 2, 2, 2),
    decoder_channels=(96, 192, 384),
    embed_dim=48,
    query_dim=512,
    layers_per_level=1,
    windows_hu=((-175.0, 250.0),),
)


class SwinBackbone(nn.Module):
    """Swin UNETR with diffusion-guided fusion between the levels of its decoder.

    Differs from the published network where our decoder needs it: decoder outputs instead of encoder states, masks at
    stride 2 (the full-resolution output is pooled by a strided convolution), and no queries at stride 2.

    Args:
        in_channels: Intensity channels.
        feature_size: Channels at full resolution; 48 as published.

    Shape:
        `(batch, in_channels, I, J, K)`, edges multiples of 32 → `PixelFeatures` with 8, 4, 2 and 1 times `feature_size`
        channels.

    References:
        DSM (Wu et al., arXiv 2506.12747); Swin UNETR (Hatamizadeh et al. 2022, arXiv 2201.01266).
    """

    def __init__(self, in_channels: int, feature_size: int) -> None:
        super().__init__()
        c = feature_size
        self.swin = SwinUNETR(in_channels=in_channels, out_channels=1, feature_size=c)
        self.swin.out = nn.Identity()
        self.fusion16 = DiffusionFusion(8 * c, 16 * c)
        self.fusion8 = DiffusionFusion(4 * c, 8 * c)
        self.fusion4 = DiffusionFusion(2 * c, 4 * c)
        self.halve = nn.Sequential(nn.Conv3d(c, c, 2, stride=2, bias=False), nn.BatchNorm3d(c))
        self.fusion2 = DiffusionFusion(c, 2 * c)
        self.project = nn.Conv3d(c, c, 1)

    def forward(self, x: Tensor) -> PixelFeatures:
        """Run the backbone; see the class for shapes."""
        swin = self.swin
        h2, h4, h8, h16, h32 = swin.swinViT(x, swin.normalize)
        d32 = swin.encoder10(h32)
        d16 = swin.decoder5(d32, h16)
        d8 = swin.decoder4(d16, swin.encoder4(h8))
        d4 = swin.decoder3(d8, swin.encoder3(h4))
        d2 = swin.decoder2(d4, swin.encoder2(h2))
        full = swin.decoder1(d2, swin.encoder1(x))
        f16 = self.fusion16(d16, d32)
        f8 = self.fusion8(d8, f16)
        f4 = self.fusion4(d4, f8)
        f2 = self.fusion2(self.halve(full), f4)
        return PixelFeatures(f16, f8, f4, F.normalize(self.project(f2), dim=1))


def reference_net(config: ModelConfig = REFERENCE, organ_text: Tensor | None = None) -> DSMNet:
    """Build `dsm-reference`.

    Args:
        config: Sizes; `embed_dim` is the feature size of the backbone.
        organ_text: Centred text vectors of the organs `(organs, text_dim)`.
    """
    return DSMNet(config, organ_text, backbone=SwinBackbone(config.num_channels, config.embed_dim))
