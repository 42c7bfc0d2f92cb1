"""What an exported file carries beside its graph: classes, colors, normalization, geometry, in JSON."""

import base64
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from atrous.errors import CheckpointError
from atrous.export.deployed import Ends
from atrous.models.contract import DenseNetwork, LogitGeometry

KEY = "atrous"  # under which it lies in a file's metadata
FORMAT_VERSION = 1
LONGEST = 1 << 20  # px; and more channels than any network has


@dataclass(frozen=True, slots=True)
class Card:
    """All that prediction needs beside the graph.

    Attributes:
        network: Name in the catalog.
        arguments: What `build_network` was called with, without the name.
        labels: `LabelSet.to_dict()`, or `Quantity.to_dict()` of a regression.
        normalization: `Normalization.to_dict()`: mean and std in grey levels, order of the channels. Inside
            the graph where it takes raw pixels.
        geometry: Where the network's logits lie, in pixels of the image.
        num_axes: 2 for images, 3 for volumes, 1 for sounds.
        num_channels: Of the input.
        num_outputs: Classes, or values of a regression.
        ends: What the graph takes and gives.
        precision: float32; float16, as which weights are stored; int8, in which convolutions compute.
        crf: Settings of a CRF to apply to the scores; it is not in the graph. Empty without one.
        crf_tensors: State dict of a learned one.
    """

    network: str
    arguments: dict[str, Any]
    labels: dict[str, Any]
    normalization: dict[str, Any]
    geometry: LogitGeometry
    num_axes: int
    num_channels: int
    num_outputs: int
    ends: Ends
    precision: str = "float32"
    crf: dict[str, Any] = field(default_factory=dict)
    crf_tensors: dict[str, Tensor] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line; tensors are in base64."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        learned = save(dict(self.crf_tensors)) if self.crf_tensors else b""
        return json.dumps(
            {
                "format_version": FORMAT_VERSION,
                **plain,
                "geometry": asdict(self.geometry),
                "ends": asdict(self.ends),
                "crf_tensors": base64.b64encode(learned).decode(),
            }
        )

    @classmethod
    def from_json(cls, text: str, *, source: str) -> "Card":
        """The inverse of `to_json`; `source` names the file in messages.

        Raises:
            CheckpointError: If it was written by a newer version, or not by this package.
        """
        try:
            stored = json.loads(text)
            version = stored["format_version"]
            if version > FORMAT_VERSION:
                raise CheckpointError(
                    f"{source} was exported in format {version}, this atrous reads {FORMAT_VERSION}; upgrade "
                    "atrous"
                )
            card = cls(
                **{name: stored[name] for name in _PLAIN},
                geometry=LogitGeometry(**stored["geometry"]),
                ends=Ends(**stored["ends"]),
                crf_tensors=_tensors(stored["crf_tensors"]),
            )
        except (LookupError, TypeError, ValueError, OverflowError, RecursionError, SafetensorError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"{source} carries a description that atrous did not write ({error}); export it anew"
            ) from error
        card._refuse_misfits(source)
        return card

    def _refuse_misfits(self, source: str) -> None:
        """Values of the wrong kind, in a file that somebody changed."""
        for name, kind in _PLAIN.items():
            if not isinstance(getattr(self, name), kind):
                raise CheckpointError(f"{source} says nothing sensible of its {name}; export it anew")
        where = self.geometry
        counts = (self.num_outputs, self.num_channels, where.output_stride, where.receptive_field)
        if not all(_is_count(number) for number in counts) or min(counts) < 1:
            raise CheckpointError(f"{source} has outputs, channels or a stride below 1; export it anew")
        is_placed = type(where.center) in (int, float) and -LONGEST < where.center < LONGEST
        if not is_placed or not _is_count(where.margin) or where.margin < 0:
            raise CheckpointError(f"{source} says nothing sensible of where its outputs lie; export it anew")
        if self.num_axes not in (1, 2, 3) or type(self.ends.raw) is not bool:
            raise CheckpointError(f"{source} says nothing sensible of what it takes; export it anew")

    def plain(self) -> dict[str, str]:
        """What programs without this package want to know, by name, each as JSON or plain text."""
        return {
            "classes": json.dumps(self.labels.get("names", [])),
            "palette": json.dumps(self.labels.get("palette", [])),
            "normalization": json.dumps(self.normalization),
            "takes": _TAKES_RAW if self.ends.raw else _takes(self.geometry.margin),
            "gives": self.ends.result,
        }


def _is_count(value: Any) -> bool:
    return type(value) is int and value < LONGEST


_PLAIN: dict[str, type] = {
    "network": str,
    "arguments": dict,
    "labels": dict,
    "normalization": dict,
    "num_axes": int,
    "num_channels": int,
    "num_outputs": int,
    "precision": str,
    "crf": dict,
}
assert {*_PLAIN, "geometry", "ends", "crf_tensors"} == {item.name for item in fields(Card)}

_TAKES_RAW = "uint8 RGB 0-255 (batch, channels, height, width)"


def _takes(margin: int) -> str:
    around = f", {margin} reflected pixels added on every side" if margin else ""
    return f"float32, normalized{around}"


def _tensors(text: str) -> dict[str, Tensor]:
    return load(base64.b64decode(text, validate=True)) if text else {}


def not_computed(path: Path, images: Tensor, error: Exception) -> CheckpointError:
    """What to say of a file whose graph does not take what its description says."""
    reason = " ".join(str(error).split())[-200:]
    return CheckpointError(
        f"{path.name} does not compute an input of {images.dtype} {tuple(images.shape)} ({reason}); "
        "export it anew"
    )


def card_of(
    network: DenseNetwork,
    ends: Ends,
    *,
    name: str,
    arguments: dict[str, Any],
    labels: dict[str, Any],
    precision: str = "float32",
) -> Card:
    """The card of a network, without a CRF."""
    return Card(
        network=name,
        arguments=arguments,
        labels=labels,
        normalization=network.normalization.to_dict(),
        geometry=network.geometry,
        num_axes=network.num_axes,
        num_channels=network.num_channels,
        num_outputs=network.num_classes,
        ends=ends,
        precision=precision,
    )
