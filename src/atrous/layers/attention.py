"""Dilated neighborhood attention: a cell attends to the k x k cells round it that lie `dilation` apart."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.geometry.axis import effective_kernel_size

WIDENING = 2  # of the hidden layer after attention; Hassani & Shi 2022, table 1, has 2 to 3


class NeighborhoodAttention(nn.Module):
    """Self-attention in which cell p sees cells p + dilation * s, |s| <= k // 2 on both axes, and no others.

    Hassani & Shi 2022, "Dilated neighborhood attention transformer", equations 1 to 3, with a learned bias a
    head for every relative position. Beyond the border there is nothing to attend to: such positions are left
    out of the softmax (the paper shifts the neighborhood inward there, which moves its center).

    Args:
        channels: In and out.
        num_heads: Divides the channels.
        kernel_size: k, odd.
        dilation: Cells from one neighbor to the next.

    Raises:
        ConfigError: If the kernel has no center, the dilation is below 1, or the heads share no channels.
    """

    def __init__(self, channels: int, *, num_heads: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0 or dilation < 1:
            raise ConfigError(
                f"a neighborhood of {kernel_size} cells with dilation {dilation} has no center; give an odd "
                "number, and a dilation of at least 1"
            )
        if num_heads < 1 or channels % num_heads:
            raise ConfigError(f"{channels} channels do not divide into {num_heads} heads; give a divisor")
        self.num_heads = num_heads
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.cells = effective_kernel_size(kernel_size, dilation)  # from the first to the last seen
        self.query = _pointwise(channels, channels)
        self.key = _pointwise(channels, channels, bias=False)  # one would shift all scores of a cell alike
        self.value = _pointwise(channels, channels)
        self.position_bias = nn.Parameter(torch.zeros(kernel_size**2, num_heads, 1, 1))
        self.project = _pointwise(channels, channels)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """What each cell gathers from its neighborhood."""
        query, keys, values = self.query(features), self.key(features), self.value(features)
        query = query / math.sqrt(query.shape[1] // self.num_heads)
        attend = self._attend_at_once if torch.compiler.is_exporting() else self._attend_one_by_one
        return self.project(attend(query, keys, values))

    def _attend_one_by_one(
        self,
        query: Float[Tensor, "b c h w"],
        keys: Float[Tensor, "b c h w"],
        values: Float[Tensor, "b c h w"],
    ) -> Float[Tensor, "b c h w"]:
        """Neighbor by neighbor, each a slice of the padded map: the fast way."""
        query = self._by_head(query)
        inside = torch.stack(list(self._slices(torch.ones_like(keys[:, :1]))), 1)
        scores = torch.stack([(query * key).sum(2) for key in self._slices(self._by_head(keys))], 1)
        shares = self._shares(scores, inside).unsqueeze(3).unbind(1)  # of a neighbor: b heads 1 h w
        mixed = torch.zeros_like(query)
        for share, value in zip(shares, self._slices(self._by_head(values)), strict=True):
            mixed = mixed + share * value
        return mixed.flatten(1, 2)

    def _slices(self, maps: Float[Tensor, "b *c h w"]) -> Iterator[Float[Tensor, "b *c h w"]]:
        height, width = maps.shape[-2:]
        padded = functional.pad(maps, (self.cells // 2,) * 4)
        for top in range(0, self.cells, self.dilation):
            rows = padded[..., top : top + height, :]
            for left in range(0, self.cells, self.dilation):
                yield rows[..., left : left + width]

    def _attend_at_once(
        self,
        query: Float[Tensor, "b c h w"],
        keys: Float[Tensor, "b c h w"],
        values: Float[Tensor, "b c h w"],
    ) -> Float[Tensor, "b c h w"]:
        """All neighbors by one convolution that copies them, so that a traced graph says what is seen."""
        inside = self._copied(0 * keys[:, :1] + 1).transpose(1, 2)  # of the keys, to stream along
        scores = (query.unsqueeze(2) * self._copied(keys)).unflatten(1, (self.num_heads, -1)).sum(2)
        shares = self._shares(scores.transpose(1, 2), inside).transpose(1, 2).unsqueeze(2)
        values = self._copied(values).unflatten(1, (self.num_heads, -1))
        return (shares * values).sum(3).flatten(1, 2)

    def _copied(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c neighbors h w"]:
        number, channels = self.kernel_size**2, maps.shape[1]
        taps = torch.eye(number, dtype=maps.dtype, device=maps.device).repeat(channels, 1)
        copied = functional.conv2d(
            maps,
            taps.view(-1, 1, self.kernel_size, self.kernel_size),
            padding=self.cells // 2,
            dilation=self.dilation,
            groups=channels,
        )
        return copied.unflatten(1, (channels, number))

    def _shares(
        self, scores: Float[Tensor, "b neighbors heads h w"], inside: Float[Tensor, "b neighbors 1 h w"]
    ) -> Float[Tensor, "b neighbors heads h w"]:
        """The softmax over the neighbors that are inside."""
        return torch.where(inside > 0, scores + self.position_bias, -math.inf).softmax(1)

    def _by_head(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b heads _e h w"]:
        return maps.unflatten(1, (self.num_heads, -1))


class ChannelNorm(nn.LayerNorm):
    """Layer normalization of each cell over its channels."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same shape."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class AttentionBlock(nn.Module):
    """Neighborhood attention, then two 1x1 convolutions, each behind a norm and beside a shortcut.

    Args:
        channels: In and out.
        num_heads: Divides the channels.
        kernel_size: Of the neighborhood, odd.
        dilation: Of the neighborhood.
    """

    def __init__(self, channels: int, *, num_heads: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.attention = NeighborhoodAttention(
            channels, num_heads=num_heads, kernel_size=kernel_size, dilation=dilation
        )
        self.norm2 = ChannelNorm(channels)
        wide = WIDENING * channels
        self.mlp = nn.Sequential(_pointwise(channels, wide), nn.GELU(), _pointwise(wide, channels))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Features of the same size."""
        features = features + self.attention(self.norm1(features))
        return features + self.mlp(self.norm2(features))


def _pointwise(in_channels: int, out_channels: int, *, bias: bool = True) -> nn.Conv2d:
    """A 1x1 convolution that starts small, as in transformers, so that a fresh block changes little."""
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=bias)
    nn.init.trunc_normal_(conv.weight, std=0.02)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
