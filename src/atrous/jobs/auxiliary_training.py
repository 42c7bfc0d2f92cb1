"""A network and its auxiliary head as one module, for stages that train both."""

from jaxtyping import Float
from torch import Tensor, nn

from atrous.models.contract import AuxiliaryNetwork, LogitGeometry


class WithAuxiliary(nn.Module):
    """Both heads' logits of a network: what training wants of it, and prediction does not.

    Args:
        network: Trained with its second head.
    """

    def __init__(self, network: AuxiliaryNetwork) -> None:
        super().__init__()
        self.network = network

    @property
    def geometry(self) -> LogitGeometry:
        """Where the main logits lie."""
        return self.network.geometry

    def new_layers(self) -> tuple[str, ...]:
        """Those of the network, under its name here."""
        return tuple(f"network.{prefix}" for prefix in self.network.new_layers())

    def forward(
        self, images: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b k y x"], Float[Tensor, "b k Y X"]]:
        """The logits, and the auxiliary ones."""
        return self.network.forward_with_auxiliary(images)
