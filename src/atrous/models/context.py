"""The context module (Yu & Koltun 2016, section 3 and table 1): it turns logits into better logits.

| layer           | 1 | 2 | 3 | 4  | 5  | 6   | 7   | 8   |
|-----------------|---|---|---|----|----|-----|-----|-----|
| kernel          | 3 | 3 | 3 | 3  | 3  | 3   | 3   | 1   |
| dilation        | 1 | 1 | 2 | 4  | 8  | 16  | 1   | 1   |
| receptive field | 3 | 5 | 9 | 17 | 33 | 65  | 67  | 67  |
| Basic channels  | C | C | C | C  | C  | C   | C   | C   |
| Large channels  | 2C| 2C| 4C| 8C | 16C| 32C | 32C | C   |
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.layers.init import identity_

DILATIONS = (1, 1, 2, 4, 8, 16, 1)
LARGE_CHANNELS = (2, 2, 4, 8, 16, 32, 32)  # times C; table 1


class ContextModule(nn.Module):
    """Seven dilated 3x3 convolutions and a 1x1, started as the identity.

    A fresh module without noise computes max(logits, 0): exactly, but that "large" adds up 32 equal parts in
    floating point.

    Args:
        num_classes: C, channels in and out.
        variant: "basic", C channels throughout, or "large".
        dilations: One per 3x3 layer.
        noise: Standard deviation of the initial weights off the identity; the released filler uses 0.01.
        padding: "layers", each layer pads its dilation, or "input", the logits once by the sum of all
            (33 for the default dilations), as the released VOC network does.

    Raises:
        ConfigError: If the variant, the padding, a dilation or the noise is none that exists.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        variant: str = "basic",
        dilations: Sequence[int] = DILATIONS,
        noise: float = 0.0,
        padding: str = "layers",
    ) -> None:
        super().__init__()
        if not dilations or min(dilations) < 1:
            raise ConfigError(
                f"dilations {tuple(dilations)} make no context module; give one or more of at least 1"
            )
        self.num_classes = num_classes
        self.receptive_field = 1 + 2 * sum(dilations)  # cells; 67 for the default
        widths, paddings = _widths(variant, len(dilations)), _paddings(padding, dilations)
        layers: list[nn.Module] = []
        in_channels = num_classes
        for width, dilation, zeros in zip(widths, dilations, paddings, strict=True):
            conv = nn.Conv2d(in_channels, width * num_classes, 3, dilation=dilation, padding=zeros)
            layers += [conv, nn.ReLU(inplace=True)]
            in_channels = width * num_classes
        self.layers = nn.Sequential(*layers, nn.Conv2d(in_channels, num_classes, 1))
        self.start_(noise=noise)

    def start_(self, *, noise: float) -> None:
        """Start as the identity, off which the weights have this standard deviation; in place."""
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                identity_(layer, num_groups=self.num_classes, noise=noise)

    def forward(self, logits: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        """Logits of the same shape that know `receptive_field` x `receptive_field` cells."""
        return self.layers(logits)


def _widths(variant: str, depth: int) -> tuple[int, ...]:
    if variant == "basic":
        return (1,) * depth
    if variant != "large":
        raise ConfigError(f'a context module is "basic" or "large", not "{variant}"')
    if depth != len(LARGE_CHANNELS):
        raise ConfigError(f"the large module has {len(LARGE_CHANNELS)} dilations, not {depth}; or use basic")
    return LARGE_CHANNELS


def _paddings(padding: str, dilations: Sequence[int]) -> tuple[int, ...]:
    """Zeros on every side of each layer's input."""
    if padding == "layers":
        return tuple(dilations)
    if padding != "input":
        raise ConfigError(f'a context module pads its "layers" or its "input", not "{padding}"')
    return (sum(dilations), *(0,) * (len(dilations) - 1))
