"""The vocabulary of all dense CRFs: Gaussian kernels over positions, positions and colors, or any features.

A kernel is weight * exp(-|f_i - f_j|^2 / 2) for pixels i and j whose features f are already divided by the
bandwidths (Krähenbühl & Koltun 2011, equation 3).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real as RealNumber
from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor

from atrous.errors import ConfigError, ShapeError

PerAxis = float | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Spatial:
    """Smoothness: pixels near each other are alike.

    Attributes:
        sigma: Deviation in px, or the unit of `spacing`; one number, or one an axis in the image's order.
        weight: Factor of the kernel; a negative one drives apart.
        spacing: Distance from one pixel to the next, such as a voxel's size in mm, as `sigma`.
    """

    sigma: PerAxis = 3.0  # both as pydensecrf's examples
    weight: float = 3.0
    spacing: PerAxis = 1.0

    def __post_init__(self) -> None:
        for name in ("sigma", "spacing"):
            object.__setattr__(self, name, _positive(name, getattr(self, name)))
        _check_weight(self.weight)

    def features(
        self,
        logits: Float[Tensor, "b k *spatial"],
        images: Real[Tensor, "..."] | None = None,  # noqa: ARG002 (as all kernels)
    ) -> Float[Tensor, "b f n"]:
        """Positions in units of sigma, the last axis first, for every pixel of the logits."""
        return _positions(logits, self.sigma, self.spacing)


@dataclass(frozen=True, slots=True)
class Bilateral:
    """Appearance: pixels near each other that look alike are alike.

    Attributes:
        sigma_xy: Deviation in px, or the unit of `spacing`; one number, or one an axis in the image's order.
        sigma_rgb: Deviation in gray levels of 0-255; one number, or one a channel.
        weight: Factor of the kernel; a negative one drives apart.
        spacing: Distance from one pixel to the next, such as a voxel's size in mm, as `sigma_xy`.
    """

    sigma_xy: PerAxis = 80.0  # all three as pydensecrf's examples
    sigma_rgb: PerAxis = 13.0
    weight: float = 10.0
    spacing: PerAxis = 1.0

    def __post_init__(self) -> None:
        for name in ("sigma_xy", "sigma_rgb", "spacing"):
            object.__setattr__(self, name, _positive(name, getattr(self, name)))
        _check_weight(self.weight)

    def features(
        self, logits: Float[Tensor, "b k *spatial"], images: Real[Tensor, "..."] | None
    ) -> Float[Tensor, "b f n"]:
        """Positions as of `Spatial`, then colors in units of sigma_rgb.

        Raises:
            ShapeError: If there are no images, or channels and sigmas differ in number.
        """
        if images is None:
            raise ShapeError("a Bilateral kernel has no images to read colors from; give images (b, c, ...)")
        colors = images.to(logits.device, logits.dtype).flatten(2)
        scales = _scales("sigma_rgb", self.sigma_rgb, count=colors.shape[1], of="channels")
        positions = _positions(logits, self.sigma_xy, self.spacing, name="sigma_xy")
        return torch.cat([positions, colors / colors.new_tensor(scales)[:, None]], 1)


@dataclass(frozen=True, slots=True, eq=False)
class Gaussian:
    """Any features: pixels that have like ones are alike.

    Attributes:
        values: Features (b, f, *spatial), or (f, *spatial) for all images, already divided by their
            bandwidths. No gradient goes through them.
        weight: Factor of the kernel; a negative one drives apart.
    """

    values: Float[Tensor, "..."]
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_weight(self.weight)

    def features(
        self,
        logits: Float[Tensor, "b k *spatial"],
        images: Real[Tensor, "..."] | None = None,  # noqa: ARG002 (as all kernels)
    ) -> Float[Tensor, "b f n"]:
        """The features as they are.

        Raises:
            ShapeError: If they are not of the logits' size.
        """
        values = self.values.detach().to(logits.device, logits.dtype)
        batched = values.expand(len(logits), *values.shape) if values.ndim == logits.ndim - 1 else values
        wanted = (len(logits), *logits.shape[2:])
        if (
            batched.ndim != logits.ndim
            or (len(batched), *batched.shape[2:]) != wanted
            or not batched.shape[1]
        ):
            raise ShapeError(
                f"features {tuple(self.values.shape)} do not fit logits {tuple(logits.shape)}; give "
                f"(b, f, *spatial) or (f, *spatial) with the same b and spatial sizes, and f from 1 on"
            )
        return batched.flatten(2)


Kernel = Spatial | Bilateral | Gaussian


def from_pydensecrf(
    *,
    sxy_gaussian: float | tuple[float, float],
    compat_gaussian: float,
    sxy_bilateral: float | tuple[float, float],
    srgb: PerAxis,
    compat_bilateral: float,
) -> tuple[Spatial, Bilateral]:
    """The kernels of pydensecrf's `addPairwiseGaussian` and `addPairwiseBilateral`.

    Its features are divided by its bandwidths just as here; its pairs are (x, y), ours (y, x).

    >>> from_pydensecrf(
    ...     sxy_gaussian=3, compat_gaussian=3, sxy_bilateral=(60, 80), srgb=13, compat_bilateral=10
    ... )[1]
    Bilateral(sigma_xy=(80, 60), sigma_rgb=13, weight=10, spacing=1.0)
    """
    return (
        Spatial(_reversed(sxy_gaussian), compat_gaussian),
        Bilateral(_reversed(sxy_bilateral), srgb, compat_bilateral),
    )


def from_crfasrnn(
    *,
    theta_alpha: float = 160.0,
    theta_beta: float = 3.0,
    theta_gamma: float = 3.0,
    spatial_weight: float = 3.0,
    bilateral_weight: float = 5.0,
) -> tuple[Spatial, Bilateral]:
    """The kernels of CRF-RNN (Zheng et al. 2015) in the names and with the values of its PyTorch port.

    It normalizes after filtering: give `normalization="after"` along with them.

    >>> from_crfasrnn(theta_alpha=80)[1]
    Bilateral(sigma_xy=80, sigma_rgb=3.0, weight=5.0, spacing=1.0)
    """
    return Spatial(theta_gamma, spatial_weight), Bilateral(theta_alpha, theta_beta, bilateral_weight)


def _reversed(sigma: Any) -> Any:
    return sigma[::-1] if isinstance(sigma, list | tuple) else sigma


def _positions(
    logits: Float[Tensor, "b k *spatial"], sigma: PerAxis, spacing: PerAxis, *, name: str = "sigma"
) -> Float[Tensor, "b f n"]:
    """Coordinates in units of sigma, x first as in pydensecrf: a lattice depends a little on the order."""
    size = logits.shape[2:]
    sigmas = _scales(name, sigma, count=len(size), of="axes")
    spacings = _scales("spacing", spacing, count=len(size), of="axes")
    axes = [
        torch.arange(cells, device=logits.device, dtype=logits.dtype) * step / sigma
        for cells, step, sigma in zip(size, spacings, sigmas, strict=True)
    ]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1])
    return grid.flatten(1).expand(len(logits), -1, -1)


def _scales(name: str, value: PerAxis, *, count: int, of: str) -> tuple[float, ...]:
    """One number for each axis or channel."""
    scales = value if isinstance(value, tuple) else (value,) * count
    if len(scales) != count:
        raise ShapeError(f"{name} {value} has {len(scales)} numbers for {count} {of}; give one, or {count}")
    return scales


def _positive(name: str, value: Any) -> PerAxis:
    """A number, or a tuple of numbers, as given or in a list."""
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not numbers or not all(is_real(number) and number > 0 for number in numbers):
        raise ConfigError(f"{name} {value!r} is no bandwidth; give finite numbers above 0")
    return numbers if isinstance(value, list | tuple) else value


def _check_weight(weight: Any) -> None:
    if not is_real(weight):
        raise ConfigError(f"kernel weight {weight!r} is not finite; give a number, such as 3")


def is_real(number: Any) -> bool:
    """Whether it is one finite number."""
    return isinstance(number, RealNumber) and math.isfinite(number)


def as_kernels(kernels: Any) -> tuple[Kernel, ...]:
    """Kernels as a tuple.

    Raises:
        ConfigError: If there is none, or something else among them.
    """
    found = tuple(kernels) if isinstance(kernels, Iterable) else ()
    if not found or not all(isinstance(kernel, Kernel) for kernel in found):
        raise ConfigError(
            f"kernels {kernels!r} are no list of kernels; give some, such as [Spatial(sigma=3, weight=3)]"
        )
    return found
