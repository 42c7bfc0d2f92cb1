"""What every network of the catalog is: images in, logits at 1/output_stride out, and where they lie."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import CheckpointError, ConfigError
from atrous.models.companding import Companding
from atrous.models.window import Window


@dataclass(frozen=True, slots=True)
class Normalization:
    """How a network wants its pixels: `(image - mean) / std`, channels in `channels` order.

    Mean and standard deviation are in grey levels (0-255) and in the order of `channels`.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Literal["RGB", "BGR"] = "RGB"

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ConfigError(
                f"mean {self.mean} and std {self.std} normalize nothing; give finite numbers, stds above 0"
            )

    def apply(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Images (b, 3, h, w), or several behind each other (b, 6, h, w), as networks want them, from RGB."""
        ordered = self._ordered(images)
        return (ordered - self._of_channels(self.mean, images)) / self._of_channels(self.std, images)

    def undo(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The inverse of `apply`, up to rounding."""
        return self._ordered(
            images * self._of_channels(self.std, images) + self._of_channels(self.mean, images)
        )

    def _of_channels(self, values: tuple[float, float, float], images: Tensor) -> Float[Tensor, "1 c 1 1"]:
        """A value for each channel of each image."""
        return images.new_tensor(values * (images.shape[1] // 3)).view(1, -1, 1, 1)

    def _ordered(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """RGB to the network's order, or back."""
        if self.channels == "RGB":
            return images
        return images.unflatten(1, (-1, 3)).flip(2).flatten(1, 2) if images.shape[1] > 3 else images.flip(1)

    def to_dict(self) -> dict[str, Any]:
        """The three fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Normalization":
        """The inverse of `to_dict`.

        Raises:
            CheckpointError: If a field is missing or has another form.
        """
        try:
            mean, std = (tuple(float(value) for value in fields[name]) for name in ("mean", "std"))
            channels = fields["channels"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"a normalization needs mean, std and channels, not {fields}") from error
        if len(mean) != 3 or len(std) != 3 or channels not in ("RGB", "BGR"):
            raise CheckpointError(f"a normalization has three means, three stds, RGB or BGR, not {fields}")
        try:
            return cls(mean=mean, std=std, channels=channels)
        except ConfigError as error:
            raise CheckpointError(str(error)) from error


AnyNormalization = Normalization | Window | Companding
"""How networks for images, for volumes and for sounds want their input."""


def normalization_of(fields: dict[str, Any]) -> AnyNormalization:
    """What `to_dict` of one of them wrote.

    Raises:
        CheckpointError: If a field is missing or has another form.
    """
    if "levels" in fields:
        return Companding.from_dict(fields)
    return Window.from_dict(fields) if "darkest" in fields else Normalization.from_dict(fields)


IMAGENET_BGR = Normalization((103.939, 116.779, 123.68), channels="BGR")  # VGG's means, Simonyan & Zisserman
PLAIN_RGB = Normalization((127.5, 127.5, 127.5), (64.0, 64.0, 64.0))  # for networks trained from nothing


@dataclass(frozen=True, slots=True)
class LogitGeometry:
    """Where logits lie in the image, the same on all axes.

    Attributes:
        output_stride: Input pixels from one cell of the logits to the next.
        center: Pixel of the image (without margin) that cell 0 is centered on.
        receptive_field: Pixels that one cell sees, per axis.
        margin: Pixels the caller adds by reflection on every side; 0 for same-padded networks.
        is_global: Whether every cell also sees the whole image, as through pooling over all of it; the
            receptive field is that of the paths beside.
    """

    output_stride: int
    center: float
    receptive_field: int
    margin: int = 0
    is_global: bool = False

    def then_cells(self, cells: int) -> "LogitGeometry":
        """The geometry after a same-padded module that sees `cells` x `cells` of these logits."""
        return replace(self, receptive_field=self.receptive_field + (cells - 1) * self.output_stride)

    def then_upsampled(self, factor: int) -> "LogitGeometry":
        """The geometry after linear interpolation, half-pixel aligned: each pixel sees two cells."""
        stride = self.output_stride // factor
        return replace(
            self.then_cells(2), output_stride=stride, center=self.center - (self.output_stride - stride) / 2
        )


class DenseNetwork(nn.Module, ABC):
    """A network that labels every cell of a grid over its input; all of the catalog are one.

    The image (b, 3, h, w), normalized by `normalization.apply` and padded by `geometry.margin` reflected
    pixels on every side, becomes logits (b, num_classes, ceil(h / output_stride), ceil(w / output_stride)).
    A pair of images (b, 6, h, w) is taken in the same way where a network is built for it, and so is a volume
    (b, 1, x, y, z) by one for volumes; its `normalization` is a `Window`. Sounds (b, 1, t) become one-hot
    codes (b, c, t) by a `Companding`, and conditions may stand behind these.

    Attributes:
        num_classes: Outputs a cell: scores of so many classes, or values of a regression.
        num_axes: Axes of its input: 2 for images, 3 for volumes, 1 for sounds.
        num_channels: Of its input: 3 for an image, 6 for a pair, the second behind the first; 1 for a volume;
            for a sound the codes and the conditions.
        tile_size: Height and width, margin included, of the tiles that the authors' own script predicts; None
            for networks that were not released with one.
    """

    num_classes: int
    geometry: LogitGeometry
    normalization: AnyNormalization
    num_axes: int = 2
    num_channels: int = 3
    tile_size: tuple[int, int] | None = None

    @abstractmethod
    def forward(self, images: Float[Tensor, "b c *spatial"]) -> Float[Tensor, "b k *cells"]:
        """Logits of normalized images, margin included where the network has one."""

    @abstractmethod
    def class_layers(self) -> Sequence[str]:
        """Prefixes of the parameters that mean something for one set of classes only."""

    @abstractmethod
    def new_layers(self) -> Sequence[str]:
        """Prefixes of the parameters that no pretrained classifier brings: the head."""

    @property
    def output_stride(self) -> int:
        """Input pixels an output cell."""
        return self.geometry.output_stride

    @property
    def center(self) -> float:
        """Pixel of the image that cell 0 is centered on."""
        return self.geometry.center

    @property
    def receptive_field(self) -> int:
        """Pixels that one cell of the logits sees, per axis."""
        return self.geometry.receptive_field

    @property
    def margin(self) -> int:
        """Pixels to add by reflection on every side."""
        return self.geometry.margin

    @property
    def memory_format(self) -> torch.memory_format:
        """The order in memory in which convolutions are fast: channels last, where torch has that."""
        formats = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d}
        return formats[self.num_axes]

    def use_normalization_(self, normalization: AnyNormalization) -> None:
        """Expect pixels normalized another way from now on, in a front end inside as well; in place."""
        for part in self.modules():
            if isinstance(part, DenseNetwork):
                part.normalization = normalization

    def misfits(self, tensors: dict[str, Tensor]) -> tuple[str, ...]:
        """Names that a state dict lacks, has too many, or has in another shape; none if it can be loaded."""
        own = {name: value.shape for name, value in self.state_dict().items()}
        given = {name: value.shape for name, value in tensors.items()}
        return tuple(name for name in {**own, **given} if own.get(name) != given.get(name))

    def num_parameters(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())


class AuxiliaryNetwork(DenseNetwork):
    """A network with a second head on earlier features, trained along with it and left out of prediction."""

    @abstractmethod
    def auxiliary_layers(self) -> Sequence[str]:
        """Prefixes of the parameters that only the auxiliary head has."""

    @property
    @abstractmethod
    def auxiliary_geometry(self) -> LogitGeometry:
        """Where the auxiliary head's logits lie."""

    @abstractmethod
    def forward_with_auxiliary(
        self, images: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b k y x"], Float[Tensor, "b k Y X"]]:
        """What `forward` gives, and the logits of the auxiliary head."""
