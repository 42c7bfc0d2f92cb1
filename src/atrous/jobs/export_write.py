"""From a checkpoint to a file in one of the formats, and back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from atrous.checkpoint import Checkpoint, load_checkpoint
from atrous.data.images import read_image
from atrous.data.meaning import meaning_of
from atrous.data.quantity import Quantity
from atrous.data.voice import Voice
from atrous.errors import ConfigError
from atrous.export.card import Card, card_of
from atrous.export.deployed import Deployed, Ends
from atrous.export.onnx import write_onnx
from atrous.export.openvino import described, openvino_model, quantized, write_openvino
from atrous.export.program import Program, write_program
from atrous.geometry.program import export_program
from atrous.inference.calibration import Calibration
from atrous.inference.exported import is_exported, open_exported
from atrous.inference.stored import LONGEST_SIDE
from atrous.jobs.export import ExportConfig
from atrous.jobs.export_inputs import as_taken
from atrous.models.catalog import network_of
from atrous.models.contract import DenseNetwork

SIDES = {1: (4000,), 2: (70, 90), 3: (20, 24, 17)}  # of the example; unequal, so that no axis is another


@dataclass(frozen=True, slots=True)
class Exported:
    """A network on its way into a file.

    Attributes:
        config: What is wanted.
        deployed: What is exported.
        card: What the file tells of itself.
        has_classes: Whether its outputs are scores of classes.
        notes: What a user of the file must know.
        calibration: Images for int8.
    """

    config: ExportConfig
    deployed: Deployed
    card: Card
    has_classes: bool
    notes: tuple[str, ...]
    calibration: Calibration | None

    @property
    def network(self) -> DenseNetwork:
        """The network itself."""
        return self.deployed.network

    @property
    def form(self) -> str:
        """Format, version and precision in words."""
        names = {
            "onnx": f"ONNX, opset {self.config.opset}",
            "openvino": "OpenVINO",
            "program": f"torch.export, torch {torch.__version__.partition('+')[0]}",
        }
        return f"{names[self.config.format]}, {self.card.precision}"

    def write(self, path: Path) -> None:
        """Write the file, and those that belong to it.

        Raises:
            ConfigError: If a package is missing.
            GeometryError: If the network cannot be exported.
            DataError: If an image of the calibration cannot be read.
        """
        example = self._example()
        match self.config.format:
            case "onnx":
                write_onnx(self.deployed, example, self.card, path, opset=self.config.opset)
            case "program":
                write_program(export_program(self.deployed, example, any_size=True), self.card, path)
            case "openvino":
                self._write_openvino(example, path)

    def _write_openvino(self, example: Tensor, path: Path) -> None:
        model = openvino_model(self.deployed, example, self.card)
        if self.calibration is not None:
            model = quantized(
                model,
                self.calibration.used,
                lambda file: as_taken(read_image(file), self.network, raw=self.config.raw).numpy(),
                result=self.config.result,
            )
            model = described(model, self.card)
        write_openvino(model, path, in_float16=self.config.precision == "float16")

    def _example(self) -> Tensor:
        """A batch of two that is taken."""
        around = 0 if self.config.raw else 2 * self.network.margin
        sides = [side + around for side in SIDES[self.network.num_axes]]
        shape = (2, self.network.num_channels, *sides)
        return torch.zeros(shape, dtype=torch.uint8 if self.config.raw else torch.float32)


def exported(config: ExportConfig) -> Exported:
    """What a checkpoint becomes.

    Raises:
        CheckpointError: If it cannot be read.
        ConfigError: If the network cannot have such ends.
    """
    checkpoint = load_checkpoint(config.checkpoint)
    network = network_of(checkpoint, source=str(config.checkpoint)).requires_grad_(requires_grad=False)
    meaning = meaning_of(checkpoint.labels)
    ends = Ends(config.raw, config.result)
    ends.refuse_for(network, is_regression=isinstance(meaning, Quantity), is_sound=isinstance(meaning, Voice))
    if config.precision == "int8" and (network.num_axes, network.num_channels) != (2, 3):
        raise ConfigError("int8 is calibrated on images, and this network takes none; take float16")
    card = card_of(
        network,
        ends,
        name=checkpoint.network,
        arguments=checkpoint.arguments,
        labels=checkpoint.labels,
        precision=config.precision,
    )
    card, notes = _with_crf(card, checkpoint)
    if side := checkpoint.progress.get(LONGEST_SIDE):
        notes = (
            *notes,
            f"the network sees larger images at {side} px, the file as they are: give --longest-side {side}",
        )
    is_log = isinstance(meaning, Quantity) and meaning.is_log
    deployed = Deployed(network, ends, is_log=is_log).eval()
    calibration = None if config.calibration is None else Calibration.from_folder(config.calibration)
    if calibration is not None and not config.images and calibration.compared == calibration.used:
        few = "it is compared on the images that it was calibrated on, since they are fewer than 5; give more"
        notes = (*notes, few)
    if config.format == "program":
        notes = (*notes, "torch.export guards a program against images of a few cells, which it refuses")
    return Exported(config, deployed, card, not isinstance(meaning, Quantity), notes, calibration)


def _with_crf(card: Card, checkpoint: Checkpoint) -> tuple[Card, tuple[str, ...]]:
    """The card with the checkpoint's CRF, where its scores can still be refined."""
    if not checkpoint.crf:
        return card, ()
    if card.ends.result == "labels":
        return card, ("the checkpoint's CRF is left out, since labels have no scores to refine",)
    kept = replace(card, crf=checkpoint.crf, crf_tensors=checkpoint.crf_tensors)
    return kept, ("the checkpoint's CRF is not in the graph; atrous predict applies it all the same",)


def read_back(path: Path) -> Callable[[Tensor], Tensor]:
    """What a file gives of its input, in its runtime."""
    return open_exported(path) if is_exported(path) else Program(path)
