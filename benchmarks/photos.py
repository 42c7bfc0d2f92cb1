"""How a network for photos bears other sizes and cameras: mean IoU on changed validation images.

Run it as `python benchmarks/photos.py --data DATA [--checkpoint FILE]`; without a checkpoint it asks the
bundled network. Labels stay those of the image as it was; predictions are made at the size of the photo, and
read where its pixels lie.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from rich.console import Console

from atrous.data.open import open_dataset
from atrous.evaluation.metrics import Counts, Scores
from atrous.inference.predictor import Predictor
from atrous.inference.views import Views

Change = Callable[[Image.Image], Image.Image]


def enlarged(factor: int) -> Change:
    """More pixels of the same."""
    return lambda image: image.resize((factor * image.width, factor * image.height), Image.Resampling.BICUBIC)


def values(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Other values, 0-1, of every pixel."""

    def changed(image: Image.Image) -> Image.Image:
        found = change(np.asarray(image, np.float32) / 255)
        return Image.fromarray((255 * found.clip(0, 1) + 0.5).astype(np.uint8))

    return changed


def noisy(pixels: np.ndarray) -> np.ndarray:
    """As of a small sensor at night."""
    return pixels + np.random.default_rng(0).normal(0, 0.06, pixels.shape).astype(np.float32)


def compressed(image: Image.Image) -> Image.Image:
    """As JPEG of quality 15."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=15)
    return Image.open(file).convert("RGB")


PHOTOS: dict[str, tuple[Change, Views]] = {
    "as it is": (lambda image: image, Views()),
    "twice as large": (enlarged(2), Views()),
    "twice as large, seen as it is": (enlarged(2), Views(longest_side=0)),
    "six times as large (6 million pixels)": (enlarged(6), Views()),
    "darker (gamma 2)": (values(lambda pixels: pixels**2), Views()),
    "brighter (gamma 0.5)": (values(lambda pixels: pixels**0.5), Views()),
    "warm light (red +20%, blue -20%)": (values(lambda pixels: pixels * (1.2, 1.0, 0.8)), Views()),
    "gray": (lambda image: image.convert("L").convert("RGB"), Views()),
    "noise (deviation 15 of 255)": (values(noisy), Views()),
    "blurred (Gaussian, 2 px)": (lambda image: image.filter(ImageFilter.GaussianBlur(2)), Views()),
    "JPEG of quality 15": (compressed, Views()),
}


def main() -> None:
    """Score every kind of photo."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, default=Path("street"))
    parser.add_argument("--split", default="val")
    arguments = parser.parse_args()
    console = Console()
    for name, (change, views) in PHOTOS.items():
        predictor = Predictor(arguments.checkpoint, views=views, precision="auto")
        console.print(f"| {name} | {100 * score(predictor, change, arguments):.1f} |", highlight=False)


def score(predictor: Predictor, change: Change, arguments: argparse.Namespace) -> float:
    """Mean IoU of the network on the changed images."""
    dataset = open_dataset(arguments.data, arguments.split)
    total = Counts.zeros(dataset.label_set.num_classes)
    for sample in dataset:
        photo = np.asarray(change(Image.fromarray(sample.image)))
        factor = photo.shape[0] // sample.image.shape[0]
        labels = predictor(photo).label_map[factor // 2 :: factor, factor // 2 :: factor]
        total += Counts.of_image(labels, sample.labels, dataset.label_set.num_classes)
    return Scores.from_counts(total, names=dataset.label_set.names).mean_iou


if __name__ == "__main__":
    main()
