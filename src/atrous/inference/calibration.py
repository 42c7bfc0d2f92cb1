"""Images that show int8 how large the values of a network become, and how well it then does."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from atrous.data.images import image_files, read_image
from atrous.errors import ConfigError
from atrous.inference.margin import Margined
from atrous.models.contract import DenseNetwork

MOST_IMAGES = 40  # of a folder; ranges of values settle long before, and each is a pass in float32
HELD_OUT_EVERY = 5  # of these is not calibrated on, but compared on


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a network in other numbers says what it says in float32.

    Attributes:
        share: Cells with the same most probable class, in [0, 1].
        num_images: On which it was counted.
        is_held_out: Whether these images were not calibrated on.
    """

    share: float
    num_images: int
    is_held_out: bool

    def __str__(self) -> str:
        plural = "s" * (self.num_images != 1)
        kind = f"image{plural} beside them" if self.is_held_out else f"image{plural} of them"
        return f"{100 * self.share:.1f}% of labels as in float32 on {self.num_images} {kind}"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Images to calibrate on, and others to compare on.

    Attributes:
        folder: Where they come from.
        used: Files to calibrate on.
        compared: Files to count agreement on; those of `used` where the folder has fewer than 5.
    """

    folder: Path
    used: tuple[Path, ...]
    compared: tuple[Path, ...]

    @classmethod
    def from_folder(cls, folder: Path) -> "Calibration":
        """At most 40 images, spread evenly over the folder in the order of their names.

        Raises:
            ConfigError: If there is no image in it.
        """
        files = image_files(folder) if folder.is_dir() else ()
        if not files:
            raise ConfigError(
                f"no image in {folder} to calibrate int8 on; give a folder with some like those to predict"
            )
        count = min(len(files), MOST_IMAGES)
        chosen = [files[index * len(files) // count] for index in range(count)]
        compared = tuple(chosen[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY])
        used = tuple(path for path in chosen if path not in compared)
        return cls(folder, used, compared or used)

    def digest(self) -> str:
        """Hex digest of the files' contents and parts."""
        digest = hashlib.sha256()
        for part in (self.used, self.compared):
            for path in part:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            digest.update(b"|")
        return digest.hexdigest()


def as_seen_by(
    network: DenseNetwork, image: UInt8[np.ndarray, "h w 3"], *, size: tuple[int, int]
) -> Float32[Tensor, "1 3 y x"]:
    """An image resized to (h, w), normalized, with the network's margin.

    A network is compiled for one size, and values depend on the sizes of things in an image, not on its own:
    so every image is brought to the size of the compiled model rather than cut.
    """
    resized = image
    if image.shape[:2] != size:
        resized = np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return Margined(network, size, torch.device("cpu")).whole(resized)


def read_as_seen_by(
    network: DenseNetwork, path: Path, *, size: tuple[int, int]
) -> Float32[Tensor, "1 3 y x"]:
    """The same of a file.

    Raises:
        DataError: If the file is no readable image.
    """
    return as_seen_by(network, read_image(path), size=size)
