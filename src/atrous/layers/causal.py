"""Convolutions in time that see no future."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class CausalConv1d(nn.Conv1d):
    """A dilated convolution that reads a sample and earlier ones for its output there; zeros come first.

    Args:
        in_channels: Of the features.
        out_channels: Out.
        kernel_size: Taps.
        dilation: In samples.
        bias: Whether there is one.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, dilation=dilation, bias=bias)
        self.past = dilation * (kernel_size - 1)

    def forward(self, input: Float[Tensor, "b c t"]) -> Float[Tensor, "b c2 t"]:
        """Features at every sample."""
        return super().forward(functional.pad(input, (self.past, 0)))
