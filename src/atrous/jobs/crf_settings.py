"""Settings of a dense CRF as flags and TOML have them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from atrous.errors import ConfigError

if TYPE_CHECKING:
    from atrous.crf.dense_crf import DenseCRF
    from atrous.crf.kernels import Kernel

_SPATIAL = {"spatial_sigma": "sigma", "spatial_weight": "weight"}
_BILATERAL = {"sigma_xy": "sigma_xy", "sigma_rgb": "sigma_rgb", "bilateral_weight": "weight"}


@dataclass(frozen=True, slots=True)
class CRFSettings:
    """Settings of a dense CRF; what is left out stays as it is.

    Attributes:
        spatial_sigma: Deviation of the smoothness kernel, in px.
        spatial_weight: Its weight; 0 leaves it out.
        sigma_xy: Deviation of the appearance kernel in space, in px.
        sigma_rgb: Its deviation in color, in gray levels of 0-255.
        bilateral_weight: Its weight; 0 leaves it out.
        num_steps: Mean-field updates.
        normalization: symmetric, after, before or none.
    """

    spatial_sigma: float | None = None
    spatial_weight: float | None = None
    sigma_xy: float | None = None
    sigma_rgb: float | None = None
    bilateral_weight: float | None = None
    num_steps: int | None = None
    normalization: Literal["symmetric", "after", "before", "none"] | None = None

    def over(self, crf: "DenseCRF") -> "DenseCRF":
        """A CRF with these settings where they are given, and its own elsewhere.

        Raises:
            ConfigError: If a setting makes no sense, or no kernel is left.
        """
        from atrous.crf.kernels import Bilateral, Spatial

        kernels = _changed(crf.kernels, Spatial, self._given(_SPATIAL))
        kernels = _changed(kernels, Bilateral, self._given(_BILATERAL))
        kernels = tuple(kernel for kernel in kernels if kernel.weight)
        if not kernels:
            raise ConfigError(
                "both kernels have the weight 0, which leaves no CRF; give one of them a weight"
            )
        whole = self._given({"num_steps": "num_steps", "normalization": "normalization"})
        return replace(crf, kernels=kernels, **whole)

    def _given(self, names: dict[str, str]) -> dict[str, Any]:
        """The settings of these names that are given, by the names that a kernel has for them."""
        values = {theirs: getattr(self, own) for own, theirs in names.items()}
        return {name: value for name, value in values.items() if value is not None}


def flags_of(crf: "DenseCRF") -> dict[str, Any]:
    """The settings of a CRF by the names of the flags, for people to read and to give again."""
    from atrous.crf.kernels import Spatial

    flags: dict[str, Any] = {}
    for kernel in crf.kernels:
        names = _SPATIAL if isinstance(kernel, Spatial) else _BILATERAL
        flags |= {own: getattr(kernel, theirs) for own, theirs in names.items()}
    return {**flags, "num_steps": crf.num_steps, "normalization": crf.normalization}


def _changed(kernels: Sequence["Kernel"], kind: type, given: dict[str, Any]) -> "tuple[Kernel, ...]":
    """The kernels with what is given for those of one kind; one more where there was none."""
    if given and not any(isinstance(kernel, kind) for kernel in kernels):
        return (*kernels, kind(**given))
    return tuple(replace(kernel, **given) if isinstance(kernel, kind) else kernel for kernel in kernels)
