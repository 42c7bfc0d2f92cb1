"""Small spatial graphs, written by hand."""

from atrous.geometry.axis import POINTWISE, Global, Window
from atrous.geometry.graph import Node, SpatialGraph

MEAN = Global("a mean over the axis")


def conv(dilation):
    return Window(3, dilation=dilation, padding=(dilation, dilation))


def graph_of(*nodes, rank=1):
    """A graph of (name, inputs, what it reads along each axis), behind its input; the last is the output."""
    rest = [Node(name, "op", name, inputs, (axis,) * rank) for name, inputs, axis in nodes]
    first = Node("input", "input", "", (), (POINTWISE,) * rank)
    return SpatialGraph((first, *rest), outputs=(rest[-1].name,))


BRANCHES = graph_of(
    ("stem", ("input",), conv(1)),
    ("relu", ("stem",), POINTWISE),
    ("short", ("relu",), conv(2)),
    ("long1", ("relu",), conv(4)),
    ("long2", ("long1",), conv(1)),
    ("add", ("short", "long2"), POINTWISE),
    ("last", ("add",), conv(1)),
)


def classifier(rank):
    """One layer and a mean over the whole map."""
    return graph_of(("conv", ("input",), conv(3)), ("mean", ("conv",), MEAN), rank=rank)
