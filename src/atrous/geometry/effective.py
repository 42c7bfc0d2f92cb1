"""The effective receptive field: where, of all that it could see, a network looks, measured by gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import GeometryError, ShapeError
from atrous.geometry.program import evaluating
from atrous.geometry.receptive_field import receptive_field


@dataclass(frozen=True, slots=True, eq=False)
class EffectiveReceptiveField:
    """How much each input pixel moves the output at one cell, in the mean over inputs.

    Attributes:
        mass: Share of each pixel (*spatial, float64, sums to 1).
        cell: The output cell, in the middle of the map; empty where the output is a vector.
        center: Pixel that the theoretical field of the cell is centered on; for a vector the image's middle.
    """

    mass: Float[np.ndarray, "..."]
    cell: tuple[int, ...]
    center: tuple[float, ...]

    def share(self, radius: float) -> float:
        """Mass at most `radius` pixels from the center."""
        distances, shares = self._by_distance()
        inside = int(np.searchsorted(distances, radius, side="right"))
        return float(shares[inside - 1]) if inside else 0.0

    def radius(self, share: float) -> float:
        """Pixels from the center within which this share of the mass lies; 0.955 is two sigma of a Gaussian.

        Raises:
            GeometryError: If the share is not above 0 and at most 1.
        """
        if not 0 < share <= 1:
            raise GeometryError(f"no radius holds a share of {share}; give one above 0 and at most 1")
        distances, shares = self._by_distance()
        return float(distances[np.searchsorted(shares, share)])

    def _by_distance(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances from the center, ascending, and the share of the mass up to each."""
        squares = [(np.arange(n) - at) ** 2 for n, at in zip(self.mass.shape, self.center, strict=True)]
        distances = np.sqrt(sum(np.ix_(*squares))).ravel()
        order = np.argsort(distances, kind="stable")
        shares = np.cumsum(self.mass.ravel()[order])
        return distances[order], shares / shares[-1]


def effective_receptive_field(
    network: nn.Module,
    example: Tensor,
    *,
    samples: int = 16,
    layer: str | None = None,
    seed: int = 0,
    images: Tensor | None = None,
) -> EffectiveReceptiveField:
    """How much each input pixel moves the middle of the output: the mean absolute gradient.

    Luo et al. 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks". The
    gradient is that of the sum over channels of the middle cell, summed over the input's channels. The
    network is measured in evaluation mode and left as it was.

    Args:
        network: A module; it may give its outputs in a tuple or mapping, of which the first counts.
        example: An input (b, c, *spatial), of which the size, type and device count.
        samples: Number of standard normal inputs.
        layer: Path of a module, to measure its output instead of the network's.
        seed: Of the normal inputs.
        images: Inputs (n, c, *spatial) to use instead.

    Raises:
        GeometryError: If there is no such layer, the network cannot be traced, or no gradient reaches the
            input.
        ShapeError: If the images do not have the example's channels and rank.
    """
    inputs = _normal(example, samples=samples, seed=seed) if images is None else _checked(images, example)
    field = receptive_field(network, inputs[:1], layer=layer)
    mass = torch.zeros(inputs.shape[2:], dtype=torch.float64)
    cell: tuple[int, ...] = ()
    with evaluating(network), torch.enable_grad():
        for image in inputs.split(1):
            gradient, cell = _gradient(network, image, layer)
            mass += gradient.abs().sum((0, 1)).double().cpu()
    if not mass.sum() > 0:
        raise GeometryError(
            "no gradient reaches the input, so nothing is effective; give more samples, or other images"
        )
    center = tuple((size - 1) / 2 for size in mass.shape)
    if cell and field.node.is_map:
        center = tuple(a + float(b) * at for a, b, at in zip(field.center, field.stride, cell, strict=True))
    return EffectiveReceptiveField((mass / mass.sum()).numpy(), cell, center)


def influence(
    network: nn.Module, image: Tensor, *, cell: tuple[int, ...], channel: int
) -> Float[np.ndarray, "*spatial"]:
    """How much each pixel of one input moves one output of one cell: the absolute gradient, not normalized.

    It is summed over the input's channels, the network in evaluation mode.

    Args:
        network: A module with one output (b, k, *cells).
        image: An input (1, c, *spatial).
        cell: Index along each axis.
        channel: Which of the k outputs.
    """
    with evaluating(network), torch.enable_grad():
        pixels = image.clone().requires_grad_()
        gradient = _gradient_of(network(pixels.clone())[(0, channel, *cell)], pixels)
    return gradient.abs().sum((0, 1)).double().cpu().numpy()


def _gradient(network: nn.Module, image: Tensor, layer: str | None) -> tuple[Tensor, tuple[int, ...]]:
    """The gradient of the middle cell, or of all of a vector, and which cell that is."""
    pixels = image.clone().requires_grad_()
    output = _output(network, pixels.clone(), layer)  # a clone, since a network may change its input in place
    cell = tuple(size // 2 for size in output.shape[2:]) if output.ndim == image.ndim else ()
    return _gradient_of(output[(..., *cell)].sum(), pixels), cell


def _gradient_of(wanted: Tensor, pixels: Tensor) -> Tensor:
    """The gradient of a number, zeros where it does not depend on the pixels."""
    if not wanted.requires_grad:
        return torch.zeros_like(pixels)
    (gradient,) = torch.autograd.grad(wanted, pixels, materialize_grads=True)
    return gradient


def _output(network: nn.Module, images: Tensor, layer: str | None) -> Tensor:
    """What the network returns, or its layer did when it last ran."""
    if layer is None:
        return _first(network(images))
    try:
        module = network.get_submodule(layer)
    except AttributeError as error:
        raise GeometryError(f'the network has no module "{layer}"; give a path of named_modules()') from error
    outputs: list[Any] = []
    with module.register_forward_hook(lambda _module, _given, output: outputs.append(output)):
        network(images)
    return _first(outputs[-1])


def _first(outputs: Any) -> Tensor:
    while not isinstance(outputs, Tensor):
        outputs = next(iter(outputs.values() if isinstance(outputs, Mapping) else outputs))
    return outputs


def _normal(example: Tensor, *, samples: int, seed: int) -> Tensor:
    if samples < 1:
        raise GeometryError(f"the mean over {samples} samples has no value; give at least 1")
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((samples, *example.shape[1:]), generator=generator).to(example)


def _checked(images: Tensor, example: Tensor) -> Tensor:
    if images.ndim != example.ndim or images.shape[1] != example.shape[1] or len(images) == 0:
        raise ShapeError(
            f"images of shape {tuple(images.shape)} do not fit an example of {tuple(example.shape)}; give "
            "one or more with as many channels and axes"
        )
    return images.to(example)
