"""What cannot be traced says what was given, the rule and the way out."""

import pytest
import torch
from torch.nn import functional

from atrous.errors import GeometryError
from atrous.geometry.graph import Layer
from atrous.geometry.trace import trace
from geometry.networks import IMAGE, Lambda, conv


@pytest.mark.parametrize(
    ("network", "example", "message"),
    [
        (conv(), None, "traced on an example"),
        (conv(), torch.zeros(3, 8), "1, 2 or 3 spatial axes"),
        (conv(), torch.zeros(1, 3, 2, 9), r"cannot be traced on an input of \(1, 3, 2, 9\)"),
        (
            Lambda(lambda x: x.cummax(3).values),
            IMAGE,
            r'operator "cummax" has no known geometry .*networks\.py',
        ),
        (Lambda(lambda x: x if x.sum() > 0 else -x), IMAGE, r"cannot be traced .*test_trace_errors\.py"),
        (Lambda(lambda x: torch.ones(3)), IMAGE, "no output of the network depends"),  # noqa: ARG005
        ([], None, "empty list"),
        ([1, 0], None, "dilation 0"),
        ([10**9], None, "spans 2000000001 cells"),
        ([Layer(3, dilation=(1, 2)), Layer(3, dilation=(1, 2, 3))], None, "do not stack"),
        ("resnet50", None, "is no network"),
        (
            Lambda(lambda x: functional.pad(x, (1, -1), "circular")),
            torch.zeros(1, 1, 8),
            "circular padding by",
        ),
    ],
)
def test_what_cannot_be_traced_says_why(network, example, message):
    with pytest.raises(GeometryError, match=message):
        trace(network, example)


def test_layer_refuses_negative_padding():
    with pytest.raises(GeometryError, match="padding -1 is negative"):
        Layer(3, padding=-1)


def test_writing_into_a_part_of_an_axis_is_refused():
    def write(x, wide):
        y = x.clone()
        y[:, :, 1:] = wide(x)[:, :, 1:]
        return y

    with pytest.raises(GeometryError, match="writing into a part of a spatial axis"):
        trace(Lambda(write, conv(padding=1)), IMAGE)
