"""What a network costs and sees, from its shapes alone."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from atrous.geometry.program import evaluating
from atrous.geometry.receptive_field import receptive_field
from atrous.models.contract import DenseNetwork


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """A network in figures.

    Attributes:
        parameters: Trained values.
        multiply_adds: Of one image, margin included.
        image_size: Height and width in pixels of that image.
        output_stride: Pixels a cell.
        field: Pixels that a cell sees along an axis, on paths that do not see everything.
        sees_all: Whether a path sees everything, as through a global mean.
    """

    parameters: int
    multiply_adds: int
    image_size: tuple[int, int]
    output_stride: int
    field: int
    sees_all: bool


def network_cost(network: DenseNetwork, *, image_size: tuple[int, int]) -> NetworkCost:
    """The figures of a network on the meta device.

    Args:
        network: On the meta device.
        image_size: Height and width in pixels, without margin.

    Raises:
        GeometryError: If the network cannot be traced.
    """
    height, width = (side + 2 * network.margin for side in image_size)
    field = receptive_field(network, torch.zeros(1, 3, height, width, device="meta"))
    return NetworkCost(
        parameters=network.num_parameters(),
        multiply_adds=multiply_adds(network, image_size=image_size),
        image_size=image_size,
        output_stride=network.output_stride,
        field=max(field.local),
        sees_all=any(field.sees_all),
    )


def multiply_adds(network: DenseNetwork, *, image_size: tuple[int, int]) -> int:
    """Of one image of that height and width, margin included, counted on shapes alone."""
    height, width = (side + 2 * network.margin for side in image_size)
    with evaluating(network), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, height, width, device="meta"))
    return counter.get_total_flops() // 2
