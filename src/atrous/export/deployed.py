"""A network with what stands before and after it on request, as one module that can be exported."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Num
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.models.contract import DenseNetwork, Normalization
from atrous.ops.pad import pad_reflect
from atrous.ops.resample import upsample_logits

Result = Literal["logits", "probabilities", "labels", "values"]


@dataclass(frozen=True, slots=True)
class Ends:
    """What a file takes and gives.

    Attributes:
        raw: It takes pixels as they are, uint8, RGB, 0-255, (b, 3, h, w): mean, order of channels and margin
            are inside. Otherwise it takes what the network takes: normalized, its margin added.
        result: "logits" (b, k, y, x) on the network's own grid; interpolated to every pixel of the image,
            "probabilities" (b, k, h, w), "labels" (b, h, w), uint8, or "values" (b, k, h, w) of a regression
            in the unit of its quantity.

    Raises:
        ConfigError: If there is no such result.
    """

    raw: bool = False
    result: Result = "logits"

    def __post_init__(self) -> None:
        if self.result not in get_args(Result):
            raise ConfigError(f"no result {self.result!r}; take one of {', '.join(get_args(Result))}")

    def refuse_for(self, network: DenseNetwork, *, is_regression: bool, is_sound: bool = False) -> None:
        """Nothing, if this network can have these ends.

        Raises:
            ConfigError: If it is not for images, or does not give what is wanted.
        """
        if self.raw and not isinstance(network.normalization, Normalization):
            raise ConfigError(
                "volumes and sounds are prepared outside, by their own percentiles and codes; leave out --raw"
            )
        if is_sound and self.result != "logits":
            raise ConfigError("a network that generates sounds gives logits; leave --result out")
        if is_regression and self.result in ("probabilities", "labels"):
            raise ConfigError(f"a regression has no {self.result}; take --result values, or logits")
        if not is_regression and self.result == "values":
            raise ConfigError("classes have no values; take --result probabilities or labels")


class Deployed(nn.Module):
    """A network and its ends; what is exported.

    Args:
        network: In evaluation mode, float32.
        ends: What stands before and after it.
        is_log: Whether a regression gives logarithms of its values.
    """

    def __init__(self, network: DenseNetwork, ends: Ends, *, is_log: bool = False) -> None:
        super().__init__()
        self.network = network
        self.ends = ends
        self.is_log = is_log

    def forward(self, images: Num[Tensor, "b c *spatial"]) -> Num[Tensor, "b *result"]:
        """What `ends` says, of pixels or of what the network takes."""
        margin = self.network.margin
        size = images.shape[2:]
        if self.ends.raw:
            normalization: Any = self.network.normalization
            prepared = pad_reflect(normalization.apply(images.float()), [(margin, margin)] * len(size))
        else:
            prepared = images
            size = [side - 2 * margin for side in size]
        logits = self.network(prepared)
        if self.ends.result == "logits":
            return logits
        stride, center = self.network.output_stride, self.network.center
        everywhere = upsample_logits(logits, size, stride=stride, center=center)
        if self.ends.result == "labels":
            return everywhere.argmax(1).to(torch.uint8)
        if self.ends.result == "probabilities":
            return everywhere.softmax(1)
        return everywhere.exp() if self.is_log else everywhere
