"""Receptive fields against the truth: poke one input, see which outputs move."""

import math
from itertools import product
from typing import cast

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from atrous.geometry.receptive_field import receptive_field
from atrous.geometry.trace import trace
from geometry.networks import SIZES, TRANSPOSED, Pad, influence, networks


@pytest.mark.slow
@pytest.mark.parametrize("rank", [2, *(pytest.param(rank, marks=pytest.mark.slow) for rank in (1, 3))])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_receptive_field_is_what_pokes_reach(rank, data):
    network, size = data.draw(networks(rank)), SIZES[rank]
    try:
        moved = influence(network, size)
    except (RuntimeError, AssertionError):
        assume(False)  # a kernel larger than what is left of the input
        return
    assume(moved.numel() < 4_000_000)
    graph = trace(network, torch.zeros(1, 1, *size, dtype=torch.float64))
    field = receptive_field(graph)
    assert graph.output.size == tuple(moved.shape[rank:])
    checked = 0
    cells = list(product(*map(range, graph.output.size)))
    for cell in cells[:: 1 + len(cells) // 100]:
        box = field.box(cell)
        read = moved[(..., *cell)].nonzero()
        if not len(read):
            continue
        for axis, (first, last) in enumerate(box):
            reached = read[:, axis]
            assert math.isnan(first) or (first <= reached.min() or is_folded(network))
            assert math.isnan(last) or (reached.max() <= last or is_folded(network))
        inside = all(first >= 0 and last < n for (first, last), n in zip(box, size, strict=True))
        if inside and not is_cut(network):
            assert [(int(read[:, a].min()), int(read[:, a].max())) for a in range(rank)] == list(box)
            checked += 1
    assume(checked or is_cut(network))


def is_folded(network: nn.Sequential) -> bool:
    """Whether padding repeats inputs where the field without borders ends outside the image."""
    return any(getattr(layer, "mode", "") in ("reflect", "replicate", "circular") for layer in network)


def is_cut(network: nn.Sequential) -> bool:
    """Whether cells inside the image are cut off, which a later padding replaces by zeros."""
    transposed = tuple(TRANSPOSED.values())
    return any(
        (isinstance(layer, Pad) and min(layer.amounts) < 0)
        or (isinstance(layer, transposed) and any(cast(tuple[int, ...], layer.padding)))
        for layer in network
    )
