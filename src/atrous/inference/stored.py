"""What is stored of a network, in a checkpoint or an exported file: the network, its meaning, its CRF."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from atrous.checkpoint import checkpoint_file, load_checkpoint, load_header
from atrous.crf.stored import CRF, restore_crf
from atrous.data.meaning import Meaning, meaning_of
from atrous.errors import CheckpointError
from atrous.inference.exported import ExportedNetwork, is_exported, open_exported
from atrous.inference.views import LONGEST
from atrous.models.catalog import network_of
from atrous.models.contract import DenseNetwork

LONGEST_SIDE = "longest_side"
"""What a checkpoint says of itself where larger images shall be shrunk: pixels."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A network that can predict.

    Attributes:
        network: With its weights, or an exported file as one.
        meaning: What its outputs mean.
        crf_settings: Of the CRF that is stored beside it; empty without one.
        crf_tensors: State dict of a learned one.
        longest_side: Pixels to which larger images are shrunk before it sees them; 0 for none.
    """

    network: DenseNetwork
    meaning: Meaning
    crf_settings: Mapping[str, Any]
    crf_tensors: Mapping[str, Tensor]
    longest_side: int = 0

    def crf(self) -> CRF | None:
        """The CRF, if there is one.

        Raises:
            CheckpointError: If it cannot be restored.
        """
        return restore_crf(self.crf_settings, self.crf_tensors, num_classes=self.network.num_classes)


def load_stored(path: Path) -> Stored:
    """A checkpoint, an .onnx or an .xml.

    Raises:
        CheckpointError: If the file is broken, or atrous did not write it.
        ConfigError: If the runtime of an exported file is not installed.
    """
    if is_exported(path):
        network = ExportedNetwork(path)
        card = network.card
        return Stored(network, meaning_of(card.labels), card.crf, card.crf_tensors)
    checkpoint = load_checkpoint(path)
    network = network_of(checkpoint, source=str(path))
    side = checkpoint.progress.get(LONGEST_SIDE, 0)
    if type(side) is not int or not 0 <= side <= LONGEST:  # True is an int
        raise CheckpointError(f"{path} has a {LONGEST_SIDE} of {side!r}, which are no pixels; make it anew")
    return Stored(network, meaning_of(checkpoint.labels), checkpoint.crf, checkpoint.crf_tensors, side)


def stored_labels(path: Path) -> dict[str, Any]:
    """Classes or quantity of a file, without its weights where that can be.

    Raises:
        CheckpointError: As `load_stored`.
        ConfigError: As `load_stored`.
    """
    if is_exported(path):
        return open_exported(path).card.labels
    labels = load_header(path).get("labels")
    return labels if isinstance(labels, dict) else {}


def weight_files(path: Path) -> tuple[Path, ...]:
    """All files that a stored network is made of, itself first."""
    if path.suffix.lower() == ".xml":
        return path, path.with_suffix(".bin")
    return (checkpoint_file(path),)
