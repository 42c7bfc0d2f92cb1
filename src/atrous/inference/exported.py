"""A file that `atrous export` wrote in the place of a network: it answers as one, in a runtime of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from atrous.errors import CheckpointError, ConfigError, GeometryError
from atrous.export.card import Card
from atrous.export.onnx import OnnxSession
from atrous.export.openvino import OpenVINOFile
from atrous.inference.engine import Engine
from atrous.inference.engine_choice import EngineName, EnginePrecision
from atrous.inference.machine import fast_in_bfloat16
from atrous.models.catalog import build_network
from atrous.models.claims import refuse_other_normalization
from atrous.models.contract import DenseNetwork, LogitGeometry, Normalization, normalization_of

ENDINGS = (".onnx", ".xml")
_UNLIKELY = -100.0  # a logit; its probability is 4e-44
_LEAST = 1e-38  # of a probability, so that its logarithm is finite


def is_exported(path: Path) -> bool:
    """Whether a path is that of an exported file, by its ending."""
    return path.suffix.lower() in ENDINGS


def open_exported(path: Path, *, in_bfloat16: bool = False) -> OnnxSession | OpenVINOFile:
    """The file in its runtime.

    Raises:
        CheckpointError: If it is missing, broken, or not written by `atrous export`.
        ConfigError: If the runtime is not installed.
    """
    if path.suffix.lower() == ".onnx":
        return OnnxSession(path)
    return OpenVINOFile(path, in_bfloat16=in_bfloat16)


@final
class ExportedNetwork(DenseNetwork):
    """A file as a network: what it has inside, nobody has to do outside.

    One that takes raw pixels has a normalization that changes nothing, and no margin; one that gives
    probabilities or labels of every pixel has an output stride of 1, and logits that say the same.

    Args:
        path: Of the file.

    Attributes:
        card: What the file tells of itself.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._file = open_exported(path)
        self.card: Card = self._file.card
        self.num_classes = self.card.num_outputs
        self.num_axes = self.card.num_axes
        self.num_channels = self.card.num_channels
        self.geometry = _geometry(self.card)
        raw = self.card.ends.raw
        plain = Normalization((0.0, 0.0, 0.0))
        self.normalization = plain if raw else normalization_of(self.card.normalization)
        refuse_other_normalization(self, self.normalization, source=str(path))

    @property
    def has_scores(self) -> bool:
        """Whether it says more than labels, so that a CRF or several views can be applied."""
        return self.card.ends.result != "labels"

    @property
    def description(self) -> str:
        """What computes, in one line."""
        return f"{self._file.description}, {self.path.name}"

    def compute_in_bfloat16_(self) -> None:
        """Compute so from now on, in place.

        Raises:
            ConfigError: If the file is ONNX, or int8.
        """
        if self.path.suffix.lower() == ".onnx" or self.card.precision == "int8":
            raise ConfigError(
                f"{self.path.name} computes in {self.card.precision}, not bfloat16; leave --precision out"
            )
        self._file = open_exported(self.path, in_bfloat16=True)

    def forward(self, images: Float[Tensor, "b c *spatial"]) -> Float[Tensor, "b k *cells"]:
        """Logits of the file's answers.

        Raises:
            GeometryError: If it shall be traced.
            CheckpointError: If they are not what its card says.
        """
        if torch.compiler.is_exporting():
            raise GeometryError(f"{self.path.name} is a file and cannot be traced; take its checkpoint")
        given = self._file(images.round().to(torch.uint8) if self.card.ends.raw else images.float())
        self._refuse_other(given, images)
        match self.card.ends.result:
            case "labels":
                chosen = functional.one_hot(given.long(), self.num_classes).movedim(-1, 1)
                return (1.0 - chosen.float()) * _UNLIKELY
            case "probabilities":
                return given.clamp(min=_LEAST).log()
            case "values" if _is_log(self.card):
                return given.log()
            case _:
                return given

    def _refuse_other(self, given: Tensor, images: Tensor) -> None:
        """What the graph gives must be what the card says, or labels would mean nothing."""
        is_labels = self.card.ends.result == "labels"
        axes, classes = images.ndim - is_labels, self.num_classes
        fits = given.ndim == axes and len(given) == len(images) and 0 not in given.shape
        if fits and is_labels:
            fits = not given.is_floating_point() and 0 <= int(given.min()) <= int(given.max()) < classes
        elif fits:
            fits = given.is_floating_point() and given.shape[1] == classes
        if not fits:
            raise CheckpointError(
                f"{self.path.name} gives {given.dtype} {tuple(given.shape)}, and its card promises "
                f"{self.card.ends.result} of {classes} classes; export it anew"
            )

    def twin(self) -> DenseNetwork:
        """The network of the catalog that the file was made of, without weights: for its geometry.

        Raises:
            GeometryError: If the file's answers depend on where its input ends in more than the network's do,
                or this catalog has no such network.
        """
        ends = self.card.ends
        if ends.result != "logits" or (ends.raw and self.card.geometry.margin):
            raise GeometryError(
                f"{self.path.name} interpolates or reflects inside and takes whole images only; for parts of "
                "one export it without --raw and with --result logits"
            )
        try:
            with torch.device("meta"):
                return build_network(self.card.network, **self.card.arguments).eval()
        except (ConfigError, TypeError, NotImplementedError, RuntimeError) as error:
            raise GeometryError(
                f'{self.path.name} is of "{self.card.network}", whose geometry is not known here ({error}); '
                "take its checkpoint"
            ) from error

    def class_layers(self) -> Sequence[str]:
        """None: a file has no parameters here."""
        return ()

    def new_layers(self) -> Sequence[str]:
        """None."""
        return ()


@final
class ExportedEngine(Engine):
    """The file's own runtime.

    Args:
        network: The file.
    """

    def __init__(self, network: ExportedNetwork) -> None:
        self.network = network

    @property
    def description(self) -> str:
        """Runtime, version, precision and file."""
        return self.network.description

    def __call__(self, images: Float32[Tensor, "b c *spatial"]) -> Float32[Tensor, "b k *cells"]:
        """Logits of what the file takes."""
        return self.network(images)

    def of(self, part: DenseNetwork) -> "ExportedEngine":
        """Refused: a file has no parts.

        Raises:
            GeometryError: Always.
        """
        raise GeometryError(f"{self.network.path.name} computes all of {part}, no part of it")


def refuse_labels_only(network: DenseNetwork, *, what: str) -> None:
    """Nothing, unless the network is a file that gives labels and no scores.

    Raises:
        ConfigError: If it is; `what` needs scores.
    """
    if isinstance(network, ExportedNetwork) and not network.has_scores:
        raise ConfigError(
            f"{network.path.name} gives labels, and {what} needs scores; export it with --result logits"
        )


def exported_engine(
    network: ExportedNetwork, *, engine: EngineName, precision: EnginePrecision, has_calibration: bool
) -> ExportedEngine:
    """The engine of a file, if it is what was asked for.

    Raises:
        ConfigError: If another engine or precision than the file's was asked for.
    """
    own = "onnxruntime" if network.path.suffix.lower() == ".onnx" else "openvino"
    if engine != "auto" and engine != own:
        raise ConfigError(f"{network.path.name} is computed by {own}, not {engine}; leave --engine out")
    stored = network.card.precision
    if has_calibration or (precision == "int8" and stored != "int8"):
        raise ConfigError(
            f"{network.path.name} is {stored}; calibrate int8 when it is made, by atrous export"
        )
    can = own == "openvino" and stored != "int8" and fast_in_bfloat16(torch.device("cpu"))
    if precision == "bfloat16" or (precision == "auto" and can):
        network.compute_in_bfloat16_()
    return ExportedEngine(network)


def _geometry(card: Card) -> LogitGeometry:
    """That of what the file gives, in pixels of what it takes."""
    own = card.geometry
    margin = 0 if card.ends.raw else own.margin
    if card.ends.result == "logits":
        return LogitGeometry(own.output_stride, own.center, own.receptive_field, margin, own.is_global)
    return LogitGeometry(1, 0.0, own.receptive_field, margin, own.is_global)


def _is_log(card: Card) -> bool:
    about = card.labels.get("quantity")
    return isinstance(about, dict) and bool(about.get("is_log"))
