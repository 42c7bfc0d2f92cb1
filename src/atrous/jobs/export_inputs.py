"""What a network and its exported file are compared on, as both take it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from atrous.data.builtin import open_builtin
from atrous.data.images import image_files, read_image
from atrous.data.open_measured import open_measured
from atrous.errors import ConfigError
from atrous.export.card import Card
from atrous.inference.calibration import Calibration
from atrous.inference.margin import Margined
from atrous.jobs.export import ExportConfig
from atrous.models.contract import DenseNetwork

MOST_IMAGES = 8
MOST_SIDE = 1536  # px; of larger images the upper left
CUTS = ((0, 0), (3, 10), (17, 1), (0, 30))  # rows and columns left out of built-in images: sizes of all kinds
NOISE = {1: ((4096,), (5001,)), 3: ((20, 24, 17), (33, 21, 30))}

Inputs = list[tuple[str, Tensor]]


def inputs_of(config: ExportConfig, network: DenseNetwork, card: Card) -> Inputs:
    """Names, and inputs (1, c, *spatial) that network and file take.

    Raises:
        ConfigError: If images are given for a network that takes none, or there is none.
        DataError: If one cannot be read.
    """
    if network.num_axes != 2:
        if config.images:
            raise ConfigError(
                "a network for volumes or sounds is compared on noise, and takes no images; leave them out"
            )
        return _noise(network)
    pictures = _pictures(config, network)
    return [(name, as_taken(image, network, raw=card.ends.raw)) for name, image in pictures]


def as_taken(image: UInt8[np.ndarray, "h w c"], network: DenseNetwork, *, raw: bool) -> Tensor:
    """An image as a file takes it: (1, c, h, w), uint8 where that is raw, else normalized with its margin."""
    if raw:
        return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    return Margined(network, image.shape[:2], torch.device("cpu")).whole(image)


def _pictures(config: ExportConfig, network: DenseNetwork) -> list[tuple[str, np.ndarray]]:
    if config.images or config.calibration:
        if network.num_channels != 3:
            raise ConfigError("a network of pairs of images is compared on built-in ones; leave images out")
        held_out = Calibration.from_folder(config.calibration).compared if config.calibration else ()
        files = _files(config.images) if config.images else held_out
        return [_cropped(path) for path in files[:MOST_IMAGES]]
    if network.num_channels == 3:
        scenes = open_builtin(Path("builtin:scenes"), "test")
        images = [(scenes[number].name, scenes[number].image) for number in range(len(CUTS))]
    else:
        pairs = open_measured(Path("builtin:flow"), "val")
        images = [(pairs[number].name, pairs[number].image) for number in range(len(CUTS))]
    return [
        (name, image[: image.shape[0] - rows, : image.shape[1] - columns])
        for (name, image), (rows, columns) in zip(images, CUTS, strict=True)
    ]


def _cropped(path: Path) -> tuple[str, np.ndarray]:
    """Name and pixels of a file, of a large one the upper left, which the name then says."""
    image = read_image(path)
    part = image[:MOST_SIDE, :MOST_SIDE]
    return (path.name if part.shape == image.shape else f"{path.name}, upper left"), part


def _files(given: Sequence[Path]) -> list[Path]:
    """At most so many images, spread evenly over what was given."""
    files = [file for path in given for file in (image_files(path) if path.is_dir() else (path,))]
    if not files:
        raise ConfigError(f"no image in {', '.join(map(str, given))} to compare on; give some")
    count = min(len(files), MOST_IMAGES)
    return [files[number * len(files) // count] for number in range(count)]


def _noise(network: DenseNetwork) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    channels = network.num_channels
    return [
        (f"noise {number}", torch.randn(1, channels, *sides, generator=generator))
        for number, sides in enumerate(NOISE[network.num_axes], start=1)
    ]
