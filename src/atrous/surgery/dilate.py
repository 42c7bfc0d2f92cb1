"""A classifier made dense: planned, done to a copy, and proved, in one call."""

from torch import Tensor, nn

from atrous.surgery.body import Pools
from atrous.surgery.head import Head
from atrous.surgery.plan import plan_surgery
from atrous.surgery.verify import verify


def dilate(
    network: nn.Module,
    example: Tensor,
    *,
    output_stride: int = 8,
    pools: Pools = "keep",
    head: Head = "features",
) -> nn.Module:
    """A copy of a network that gives a denser map, with the same numbers where the original has any.

    The stride is taken out of layers, their dilation stays, and dilation and padding of all layers below are
    multiplied by it (Yu & Koltun 2016, section 4). With r the stride removed,
    `dense(x)[..., ::r, ::r] == original(x)`, at the borders too. Before it is returned, this is checked on a
    random float64 input, and that the receptive field is what it was.

    Args:
        network: Any network that `torch.export` can trace; it is left as it is.
        example: An input (b, c, *spatial); its size is the one that is checked. Others work, too.
        output_stride: Input cells from one cell of the result to the next.
        pools: `keep` keeps the function; `drop` leaves out pools whose stride is removed, which is the
            paper's ablation: another function that shares the weights, and cannot be checked.
        head: `features` returns the map that the head would pool; `dense` runs the head on every cell of it,
            where VGG's flattened map and linear layer become a convolution.

    Returns:
        A module of the same class, with the same state-dict keys and shapes, in the same mode.

    Raises:
        GeometryError: If the network cannot be traced on the example.
        SurgeryError: If it cannot be made dense, with all reasons, or a check fails.
        ConfigError: If pools or head is an unknown word.
    """
    surgery = plan_surgery(network, example, output_stride=output_stride, pools=pools, head=head)
    dense = surgery.apply(network)
    verify(network, dense, example, surgery=surgery)
    return dense
