"""A network with foreign weights in it, and what became of each of them."""

from dataclasses import dataclass

from atrous.data.labels import LabelSet
from atrous.models.contract import DenseNetwork
from atrous.weights.fit import Fitted


@dataclass(frozen=True, slots=True)
class Imported:
    """A network with a file's weights in it, as far as they fit.

    Attributes:
        name: In the catalog.
        network: In evaluation mode; parameters that the file lacks are on the meta device, without values.
        label_set: The published classes where their number is the file's.
        fitted: What became of each tensor.
    """

    name: str
    network: DenseNetwork
    label_set: LabelSet
    fitted: Fitted
