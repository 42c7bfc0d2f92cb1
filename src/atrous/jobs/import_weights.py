"""Foreign weights in one file: the authors' networks become checkpoints, VGG-16 a file to start from."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from atrous.errors import CheckpointError, ConfigError
from atrous.files import refuse_existing
from atrous.jobs.progress import Job, Progress

if TYPE_CHECKING:
    from torch import Tensor

    from atrous.models.contract import Normalization
    from atrous.models.imported import Imported
    from atrous.models.vgg_weights import VGGWeights
    from atrous.weights.fit import Line


SUFFIXES = {
    ".caffemodel": "caffe", ".h5": "keras", ".hdf5": "keras", ".pth": "torchvision", ".pt": "torchvision",
}  # fmt: skip
"""What writes files with these endings."""

NetworkName = Literal[
    "auto",
    "dilation7_kitti",
    "dilation8_camvid",
    "dilation8_voc",
    "dilation10_cityscapes",
    "frontend",
    "vgg16",
]


@dataclass(frozen=True, slots=True)
class ImportConfig:
    """Import weights of Caffe, torchvision or Keras.

    Attributes:
        source: caffe: a .caffemodel of one of the authors' four networks, of a front end, or of VGG-16;
            torchvision: the state dict of vgg16, or of an FCN or DeepLab v3; keras: VGG-16's .h5.
        path: The file.
        output: The file to write, .safetensors; without it only the report is shown.
        overwrite: Replace the output if it is there already.
        network: What a .caffemodel holds; auto tells it from the names of its layers.
        mean: Blue, green and red (0-255) that a .caffemodel was trained with; the released ones unless given.

    Raises:
        ConfigError: If the settings contradict each other or the file.
    """

    source: Annotated[Positional[Literal["caffe", "torchvision", "keras"]], arg(metavar="SOURCE")]
    path: Annotated[Positional[Path], arg(metavar="FILE")]
    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    overwrite: bool = False
    network: NetworkName = "auto"
    mean: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.source != "caffe" and (self.network != "auto" or self.mean):
            raise ConfigError(
                f"network and mean are for a .caffemodel; {self.source} weights are VGG-16 with a known mean"
            )
        if (usual := SUFFIXES.get(self.path.suffix, self.source)) != self.source:
            raise ConfigError(f"{self.path} is no file of {self.source}; run atrous import {usual} on it")
        if self.output is not None and self.output.suffix != ".safetensors":
            raise ConfigError(f"{self.output} is no name of a .safetensors file; give --output one")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What the file holds, and what became of each of its tensors.

    Attributes:
        config: What was asked.
        network: Name in the catalog, or "vgg16".
        normalization: How the network wants its pixels.
        lines: The report, tensor by tensor.
        names: The classes; none for VGG-16.
        recognized: What the names of the layers say that it is; empty where they were not asked.
    """

    config: ImportConfig
    network: str
    normalization: "Normalization"
    lines: "tuple[Line, ...]"
    names: tuple[str, ...] = ()
    recognized: str = ""

    @property
    def exit_code(self) -> int:
        """1 if something is missing, of another shape or not finite; then nothing was written."""
        return 0 if all(line.status in ("used", "unused") for line in self.lines) else 1

    def counts(self) -> dict[str, int]:
        """Number of tensors by status."""
        from atrous.weights.fit import STATUSES

        return {status: sum(line.status == status for line in self.lines) for status in STATUSES}

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "network": self.network,
            "classes": list(self.names),
            "normalization": self.normalization.to_dict(),
            "output": str(self.config.output) if self.config.output and not self.exit_code else None,
            "counts": self.counts(),
            "tensors": [
                {
                    "source": line.source,
                    "shape": list(line.shape),
                    "target": line.target,
                    "status": line.status,
                }
                for line in self.lines
            ],
        }

    def to_table(self) -> str:
        """A line a tensor, then what it is."""
        rows = [
            (_printable(line.source), "x".join(map(str, line.shape)), line.target, line.status)
            for line in self.lines
        ]
        head = ("in the file", "shape", "parameter", "")
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(3)]
        table = [
            f"{source:<{widths[0]}}  {shape:<{widths[1]}}  {target:<{widths[2]}}  {status}".rstrip()
            for source, shape, target, status in [head, *rows]
        ]
        return "\n".join([*table, "", *self._sentences()])

    def _sentences(self) -> list[str]:
        counted = ", ".join(f"{number} {status}" for status, number in self.counts().items())
        mean = ", ".join(f"{value:g}" for value in self.normalization.mean)
        classes = f", {len(self.names)} classes: {', '.join(self.names)}" if self.names else ""
        said = [
            f"{self.config.path}: {counted}.",
            f"{self.network}{classes}; {self.normalization.channels} minus {mean}.",
        ]
        if self.recognized not in ("", self.network):
            said.append(f"Note: the names of its layers are those of {self.recognized}.")
        if self.exit_code:
            said.append(
                f"Nothing was written: these are no sound weights of {self.network}, or not all of them."
            )
        elif self.config.output:
            use = "start a training from it with --init" if self.network == "vgg16" else "a checkpoint"
            said.append(f"Written to {self.config.output}: {use}.")
        return said


def run(config: ImportConfig) -> Job[ImportResult]:
    """Read, fit, write; yields progress, returns the report.

    Raises:
        CheckpointError: If the file cannot be read, or holds no known network.
        ConfigError: If there is no such network.
        OutputError: If the output is there already or cannot be written.
    """
    from atrous.models import vgg_weights
    from atrous.models.torchvision_names import import_segmentation, is_segmentation
    from atrous.weights.caffe import read_caffemodel
    from atrous.weights.files import read_state_dict
    from atrous.weights.keras import read_keras

    if config.output is not None:
        refuse_existing(config.output, overwrite=config.overwrite)
    yield Progress(0, 1, "import")
    if config.source == "caffe":
        result = _caffe(config, read_caffemodel(config.path))
    elif config.source == "torchvision":
        tensors = read_state_dict(config.path)
        if is_segmentation(tensors):
            result = _network(config, import_segmentation(tensors, source=str(config.path)))
        else:
            result = _vgg16(config, vgg_weights.from_torchvision(tensors))
    else:
        result = _vgg16(config, vgg_weights.from_keras(read_keras(config.path)))
    yield Progress(1, 1, "import")
    return result


def _caffe(config: ImportConfig, layers: "dict[str, tuple[Tensor, ...]]") -> ImportResult:
    """Whatever the layers are, or are said to be."""
    from atrous.models.caffe_networks import import_network, recognize
    from atrous.models.vgg_weights import VGG16, from_caffe

    try:
        recognized = recognize(layers, source=str(config.path))
    except CheckpointError:
        if config.network == "auto":
            raise
        recognized = "no known network"
    name = recognized if config.network == "auto" else config.network
    if name == VGG16:
        return replace(_vgg16(config, from_caffe(layers)), recognized=recognized)
    return replace(_network(config, import_network(layers, name=name)), recognized=recognized)


def _vgg16(config: ImportConfig, weights: "VGGWeights") -> ImportResult:
    """VGG-16 by Caffe's names, to start a training from."""
    from atrous.models.contract import Normalization
    from atrous.models.vgg_weights import VGG16, save_vgg_weights

    if config.mean is not None:
        weights = replace(weights, normalization=Normalization(config.mean, channels="BGR"))
    if config.output is not None and weights.fitted.complete:
        save_vgg_weights(config.output, weights)
    return ImportResult(config, VGG16, weights.normalization, weights.fitted.lines)


def _network(config: ImportConfig, imported: "Imported") -> ImportResult:
    """A network of the catalog, as a checkpoint."""
    from atrous.checkpoint import save_checkpoint
    from atrous.models.catalog import to_checkpoint
    from atrous.models.contract import Normalization

    name, network = imported.name, imported.network
    if config.mean is not None:
        network.use_normalization_(Normalization(config.mean, channels="BGR"))
    if config.output is not None and imported.fitted.complete:
        progress = {"imported": {"source": config.source, "file": config.path.name}}
        labels = imported.label_set.to_dict()
        save_checkpoint(config.output, to_checkpoint(network, name=name, labels=labels, progress=progress))
    normalization = network.normalization
    assert isinstance(normalization, Normalization)  # Caffe's networks are of images
    return ImportResult(config, name, normalization, imported.fitted.lines, names=imported.label_set.names)


def _printable(name: str) -> str:
    """A name of a file's as it is, or escaped where it would write on the terminal."""
    return name if name.isprintable() else ascii(name)
