"""A context network for volumes, trained from nothing: dilated 3x3x3 convolutions at output stride 1.

In the spirit of Yu & Koltun's context module (2016, section 3): resolution is never lost, and the receptive
field grows with the dilations. A cropped organ is smaller than the 67 cells that their module sees, so the
dilations stop at 8, and `context3d` sees 35 voxels along each axis.

| layer           | 1 | 2 | 3 | 4  | 5  | 6  | 7  |
|-----------------|---|---|---|----|----|----|----|
| kernel          | 3 | 3 | 3 | 3  | 3  | 3  | 1  |
| dilation        | 1 | 1 | 2 | 4  | 8  | 1  | 1  |
| receptive field | 3 | 5 | 9 | 17 | 33 | 35 | 35 |
| channels        | C | C | C | C  | C  | C  | k  |
"""

from collections import OrderedDict
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.layers.init import he_normal_
from atrous.models.contract import DenseNetwork, LogitGeometry
from atrous.models.window import Window

DILATIONS = (1, 1, 2, 4, 8, 1)
WIDTH = 16  # C


class DilatedBlock(nn.Module):
    """A dilated 3x3x3 convolution, batch norm and ReLU; added to its input where the channels agree.

    Batch norm, not group or instance norm: those look at the whole volume, so that it could not be streamed,
    and they score less (docs/volumes.md).
    """

    def __init__(self, in_channels: int, out_channels: int, *, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm3d(out_channels)
        self.is_residual = in_channels == out_channels
        he_normal_(self.conv)

    def forward(self, values: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b c2 x y z"]:
        """Values on the same grid."""
        new = functional.relu(self.norm(self.conv(values)))
        return values + new if self.is_residual else new


class ContextNetwork3D(DenseNetwork):
    """Dilated blocks one after the other and a 1x1x1 classifier, on one channel of intensities.

    Args:
        num_classes: Number of labels.
        width: Channels of every block.
        dilations: One a block.

    Raises:
        ConfigError: If there is no dilation, or one is below 1.
    """

    num_axes = 3
    num_channels = 1

    def __init__(self, num_classes: int, *, width: int = WIDTH, dilations: Sequence[int] = DILATIONS) -> None:
        super().__init__()
        if not dilations or min(dilations) < 1:
            raise ConfigError(f"dilations {tuple(dilations)} make no network; give one or more of at least 1")
        self.num_classes = num_classes
        self.normalization = Window()
        self.geometry = LogitGeometry(output_stride=1, center=0.0, receptive_field=1 + 2 * sum(dilations))
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        in_channels = self.num_channels
        for number, dilation in enumerate(dilations, start=1):
            blocks[f"block{number}"] = DilatedBlock(in_channels, width, dilation=dilation)
            in_channels = width
        final = nn.Conv3d(in_channels, num_classes, 1)
        nn.init.zeros_(final.bias)  # type: ignore[arg-type]
        self.layers = nn.Sequential(OrderedDict(blocks, final=final))

    def forward(self, images: Float[Tensor, "b 1 x y z"]) -> Float[Tensor, "b k x y z"]:
        """Logits (b, k, x, y, z) of volumes as `Window.apply` leaves them."""
        return self.layers(images)

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("layers.final.",)

    def new_layers(self) -> Sequence[str]:
        """Everything: nothing is pretrained."""
        return ("layers.",)


def context3d(num_classes: int = 3) -> ContextNetwork3D:
    """The context network for volumes; it sees 35 voxels along each axis."""
    return ContextNetwork3D(num_classes)
