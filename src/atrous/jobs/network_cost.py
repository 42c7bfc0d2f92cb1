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
        image_size: Height and width in pixels of that image, or the sides of a volume in voxels.
        output_stride: Pixels a cell.
        field: Pixels that a cell sees along an axis, on paths that do not see everything.
        sees_all: Whether a path sees everything, as through a global mean.
    """

    parameters: int
    multiply_adds: int
    image_size: tuple[int, ...]
    output_stride: int
    field: int
    sees_all: bool


def network_cost(network: DenseNetwork, *, image_size: tuple[int, ...]) -> NetworkCost:
    """The figures of a network on the meta device.

    Args:
        network: On the meta device.
        image_size: Height and width in pixels, or the sides of a volume in voxels, without margin.

    Raises:
        GeometryError: If the network cannot be traced.
    """
    field = receptive_field(network, example_for(network, image_size))
    return NetworkCost(
        parameters=network.num_parameters(),
        multiply_adds=multiply_adds(network, image_size=image_size),
        image_size=image_size,
        output_stride=network.output_stride,
        field=max(field.local),
        sees_all=any(field.sees_all),
    )


def multiply_adds(network: DenseNetwork, *, image_size: tuple[int, ...]) -> int:
    """Of one image (or volume) of that size, margin included, counted on shapes alone."""
    with evaluating(network), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(example_for(network, image_size))
    return counter.get_total_flops() // 2


def example_for(network: DenseNetwork, image_size: tuple[int, ...]) -> torch.Tensor:
    """An input of shapes alone: one image of that size with its margin."""
    sides = (side + 2 * network.margin for side in image_size)
    return torch.empty(1, network.num_channels, *sides, device="meta")
