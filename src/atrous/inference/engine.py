"""What computes a network's logits: torch on any device; OpenVINO is in a file of its own."""

from abc import ABC, abstractmethod
from typing import final

import torch
from jaxtyping import Float32
from torch import Tensor

from atrous.errors import CheckpointError
from atrous.geometry.program import evaluating
from atrous.inference.prepared import Prepared, prepared
from atrous.models.contract import DenseNetwork


class Engine(ABC):
    """From normalized images, margin included, to logits on the network's grid, both float32."""

    @property
    @abstractmethod
    def description(self) -> str:
        """What computes, in one line."""

    @abstractmethod
    def __call__(self, images: Float32[Tensor, "b c *spatial"]) -> Float32[Tensor, "b k *cells"]:
        """Logits of normalized images, margin included where the network has one."""

    @abstractmethod
    def of(self, part: DenseNetwork) -> "Engine":
        """An engine of the same kind for a part of the network."""


@final
class TorchEngine(Engine):
    """Torch, without graph capture or compilers.

    Args:
        network: Ready for the device.
        device: Where images are brought.

    Attributes:
        network: What computes; it may be exported and streamed in its place.
    """

    def __init__(self, network: Prepared, *, device: torch.device) -> None:
        self.network = network
        self.device = device

    @property
    def description(self) -> str:
        """Device, precision, layout, and batch norms folded, if any."""
        precision = str(self.network.dtype).removeprefix("torch.")
        line = f"torch on {self.device}, {precision}, channels_last"
        folded = self.network.num_folded
        return f"{line}; {folded} batch norm{'s' * (folded != 1)} folded" if folded else line

    def __call__(self, images: Float32[Tensor, "b c *spatial"]) -> Float32[Tensor, "b k *cells"]:
        """Logits of normalized images, margin included where the network has one."""
        with evaluating(self.network), torch.inference_mode():
            return self.network(images.to(self.device))

    def of(self, part: DenseNetwork) -> "TorchEngine":
        """An engine of the same kind for a part of the network."""
        return TorchEngine(prepared(part, dtype=self.network.dtype, device=self.device), device=self.device)


def refuse_not_finite(logits: Float32[Tensor, "*any"]) -> Float32[Tensor, "*any"]:
    """The logits, if a label can be read from them.

    Raises:
        CheckpointError: If one is not finite.
    """
    if not logits.isfinite().all():
        raise CheckpointError(
            "the network's outputs are not finite: its weights overflow; take an earlier checkpoint, or "
            "train again at a lower learning rate"
        )
    return logits
