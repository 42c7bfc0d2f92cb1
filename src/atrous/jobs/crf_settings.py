"""Settings of a dense CRF as flags and TOML have them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from atrous.errors import ConfigError

if TYPE_CHECKING:
    from atrous.checkpoint import Checkpoint
    from atrous.crf.dense_crf import DenseCRF
    from atrous.crf.kernels import Kernel
    from atrous.crf.stored import CRF

_SPATIAL = {"spatial_sigma": "sigma", "spatial_weight": "weight"}
_BILATERAL = {"sigma_xy": "sigma_xy", "sigma_rgb": "sigma_rgb", "bilateral_weight": "weight"}


@dataclass(frozen=True, slots=True)
class CRFSettings:
    """Settings of a dense CRF; what is left out is that of the CRF in the checkpoint, or else the usual one.

    Attributes:
        spatial_sigma: Deviation of the smoothness kernel in px; usually 3.
        spatial_weight: Its weight, 0 leaves it out; usually 3.
        sigma_xy: Deviation of the appearance kernel in px; usually 80, in CRF-RNN 160.
        sigma_rgb: Its deviation in gray levels of 0-255; usually 13, in CRF-RNN 3.
        bilateral_weight: Its weight, 0 leaves it out; usually 10, in CRF-RNN 5.
        num_steps: Mean-field updates; usually 10, in CRF-RNN's training 5 (and 10 after it).
        normalization: symmetric, after, before or none; usually symmetric, in CRF-RNN after.
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


def choose_crf(
    settings: CRFSettings,
    checkpoint: "Checkpoint | None",
    *,
    num_classes: int,
    usual: "DenseCRF | None" = None,
) -> "CRF":
    """The CRF that a checkpoint carries, or else the usual one, with the given settings.

    Args:
        settings: Those of the user.
        checkpoint: Where there is one.
        num_classes: k.
        usual: Where the checkpoint carries none; a `DenseCRF()` unless given.

    Raises:
        CheckpointError: If the one that it carries cannot be restored.
        ConfigError: If it is learned and settings are given.
    """
    from atrous.crf.dense_crf import DenseCRF
    from atrous.crf.rnn import CRFRNN
    from atrous.crf.stored import crf_of

    stored = crf_of(checkpoint, num_classes=num_classes) if checkpoint else None
    if not isinstance(stored, CRFRNN):
        return settings.over(stored or usual or DenseCRF())
    if settings != CRFSettings():
        raise ConfigError(
            "the checkpoint carries a learned CRF, which keeps its own settings; leave the settings out, or "
            "the checkpoint"
        )
    return stored


def settings_of(crf: "CRF") -> dict[str, Any]:
    """Settings by the names of the flags, to read and to give again; learned weights are not among them."""
    from atrous.crf.dense_crf import DenseCRF
    from atrous.crf.kernels import Spatial

    is_learned = not isinstance(crf, DenseCRF)
    settings: dict[str, Any] = {"learned": True} if is_learned else {}
    for kernel in crf.kernels:
        for own, theirs in (_SPATIAL if isinstance(kernel, Spatial) else _BILATERAL).items():
            if not (is_learned and theirs == "weight"):
                settings[own] = getattr(kernel, theirs)
    num_steps = crf.num_steps if isinstance(crf, DenseCRF) else crf.num_test_steps
    return {**settings, "num_steps": num_steps, "normalization": crf.normalization}


def describe(settings: dict[str, Any]) -> str:
    """Settings on one line."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )


def _changed(kernels: Sequence["Kernel"], kind: type, given: dict[str, Any]) -> "tuple[Kernel, ...]":
    """The kernels with what is given for those of one kind; one more where there was none."""
    if given and not any(isinstance(kernel, kind) for kernel in kernels):
        return (*kernels, kind(**given))
    return tuple(replace(kernel, **given) if isinstance(kernel, kind) else kernel for kernel in kernels)
