import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim, export

from atrous.errors import ConfigError
from atrous.geometry.coverage import coverage
from atrous.geometry.receptive_field import receptive_field
from atrous.inference.stream import Stream
from atrous.layers.attention import AttentionBlock, ChannelNorm, NeighborhoodAttention
from inference.streaming import assert_same


def random_(module: nn.Module) -> None:
    """Weights that differ everywhere, in float64; in place."""
    torch.manual_seed(0)
    for parameter in module.double().eval().parameters():
        nn.init.normal_(parameter, std=0.5)


def attention(channels: int, *, num_heads: int, kernel_size: int, dilation: int) -> NeighborhoodAttention:
    layer = NeighborhoodAttention(channels, num_heads=num_heads, kernel_size=kernel_size, dilation=dilation)
    random_(layer)
    return layer


def attend_cell_by_cell(layer: NeighborhoodAttention, features: torch.Tensor) -> torch.Tensor:
    """The definition: a softmax over the neighbors that are inside, for every cell and head alone."""
    query, key, value = layer.query(features), layer.key(features), layer.value(features)
    _, channels, height, width = features.shape
    size, half = channels // layer.num_heads, layer.kernel_size // 2
    gathered = torch.zeros_like(value)
    for batch, head, y, x in np.ndindex(len(features), layer.num_heads, height, width):
        own = slice(head * size, (head + 1) * size)
        scores, values = [], []
        for number, (down, right) in enumerate(np.ndindex(layer.kernel_size, layer.kernel_size)):
            at_y, at_x = y + layer.dilation * (down - half), x + layer.dilation * (right - half)
            if 0 <= at_y < height and 0 <= at_x < width:
                product = query[batch, own, y, x] @ key[batch, own, at_y, at_x]
                scores.append(product / math.sqrt(size) + layer.position_bias[number, head, 0, 0])
                values.append(value[batch, own, at_y, at_x])
        gathered[batch, own, y, x] = torch.stack(scores).softmax(0) @ torch.stack(values)
    return layer.project(gathered)


@pytest.mark.parametrize(("kernel_size", "dilation"), [(3, 1), (3, 2), (5, 1), (1, 3)])
@torch.no_grad()
def test_attention_is_its_definition_at_every_cell(kernel_size, dilation):
    layer = attention(6, num_heads=2, kernel_size=kernel_size, dilation=dilation)
    features = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(features), attend_cell_by_cell(layer, features))


@torch.no_grad()
def test_constant_maps_stay_constant_up_to_the_border():
    """Padding that took part in the softmax would pull the border towards zero."""
    layer = attention(4, num_heads=2, kernel_size=3, dilation=2)
    out = layer(torch.ones(1, 4, 6, 7, dtype=torch.float64))
    torch.testing.assert_close(out, out[..., :1, :1].expand_as(out))


def test_attention_sees_what_the_spatial_graph_says():
    layer = attention(2, num_heads=1, kernel_size=3, dilation=2)
    features = torch.randn(1, 2, 9, 9, dtype=torch.float64, requires_grad=True)
    layer(features)[0, :, 4, 4].sum().backward()
    assert features.grad is not None
    seen = features.grad[0].abs().sum(0) > 0
    traced = coverage(layer, features.detach())
    assert layer.cells == 5 == traced.seen.shape[0]
    assert np.array_equal(seen[2:7, 2:7].numpy(), traced.seen)
    assert seen.sum() == 9 == traced.seen.sum()
    field = receptive_field(layer, features.detach())
    assert field.center == (0.0, 0.0)
    assert not any(met.misalignment for met in field.layers)


@pytest.mark.slow
def test_block_exports_at_any_size_and_streams():
    block = AttentionBlock(4, num_heads=2, kernel_size=3, dilation=2)
    random_(block)
    example = torch.randn(1, 4, 7, 6, dtype=torch.float64)
    program = export(block, (example,), dynamic_shapes=({2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)).module()
    for height, width in [(7, 6), (2, 9), (12, 3)]:
        features = torch.randn(1, 4, height, width, dtype=torch.float64)
        torch.testing.assert_close(program(features), block(features))
    assert_same(block, Stream(block, example), torch.randn(1, 4, 17, 6, dtype=torch.float64), [3, 1, 5])


def test_channel_norm_is_that_of_each_cell():
    norm = ChannelNorm(3)
    random_(norm)
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    cell = features[1, :, 2, 3]
    expected = (cell - cell.mean()) / (cell.var(correction=0) + 1e-5).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(norm(features)[1, :, 2, 3], expected)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_heads": 2, "kernel_size": 4, "dilation": 1}, r"4 cells with dilation 1 has no center"),
        ({"num_heads": 2, "kernel_size": 3, "dilation": 0}, r"dilation 0 has no center"),
        ({"num_heads": 3, "kernel_size": 3, "dilation": 1}, r"8 channels do not divide into 3 heads"),
    ],
)
def test_attention_refuses_what_it_cannot_be(sizes, message):
    with pytest.raises(ConfigError, match=message):
        NeighborhoodAttention(8, **sizes)
