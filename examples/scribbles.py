"""From a few strokes to a mask: what a dense CRF makes of labels that are known almost nowhere.

A stroke says of its pixels what they are, with a confidence; of all others nothing is known. Mean field
passes that on between pixels that look alike and lie near each other (Krähenbühl & Koltun 2011), and so the
3.7% of the pixels under the strokes label the photo. There is no network and no training in it.

    python examples/scribbles.py --output FOLDER
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from atrous.crf import Bilateral, DenseCRF, Spatial, unary_from_labels
from atrous.figures.canvas import save_figure
from atrous.figures.overlay import overlay

PALETTE = ((40, 80, 220), (230, 120, 30))
UNKNOWN, WIDTH = 255, 7  # px, of a stroke
STROKES = {  # class: corners (x, y) of its strokes
    0: (
        ((30, 60), (60, 250), (30, 330)),
        ((120, 30), (130, 120)),
        ((400, 30), (470, 200), (480, 330)),
        ((60, 345), (105, 260), (140, 300)),
    ),
    1: (
        ((255, 60), (250, 140), (255, 230)),
        ((120, 420), (260, 330), (400, 420)),
        ((150, 570), (250, 480), (370, 570)),
    ),
}
CRF = DenseCRF([Spatial(sigma=3, weight=3), Bilateral(sigma_xy=60, sigma_rgb=20, weight=20)], num_steps=20)


def draw_strokes(size: tuple[int, int]) -> np.ndarray:
    """Labels (h, w), unknown outside the strokes; the size is (width, height)."""
    label_map = Image.new("L", size, UNKNOWN)
    pen = ImageDraw.Draw(label_map)
    for label, strokes in STROKES.items():
        for corners in strokes:
            pen.line(corners, fill=label, width=WIDTH)
    return np.array(label_map).astype(np.int64)


def main() -> None:
    """Refine, say what was known before, and draw both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/scribbles"))
    output = parser.parse_args().output
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as photo:
        image = np.array(photo.convert("RGB"))
    strokes = draw_strokes((image.shape[1], image.shape[0]))
    unary = unary_from_labels(torch.from_numpy(strokes)[None], num_classes=2, confidence=0.99)
    probabilities = CRF(unary, torch.from_numpy(image).permute(2, 0, 1)[None])[0]
    label_map = probabilities.argmax(0).numpy()
    sure = (probabilities.max(0).values > 0.95).float().mean()
    known = (strokes != UNKNOWN).mean()
    print(f"labeled by hand {100 * known:.1f}% of the pixels, sure after the CRF {100 * sure:.1f}%")
    figure = Figure(figsize=(8, 4.9), layout="constrained")
    pictures = {
        "strokes": overlay(image, strokes, PALETTE, opacity=1.0),
        "dense CRF": overlay(image, label_map, PALETTE, opacity=0.5),
    }
    for axes, (title, picture) in zip(figure.subplots(1, 2), pictures.items(), strict=True):
        axes.imshow(picture)
        axes.set_title(title)
        axes.set_axis_off()
    save_figure(output / "scribbles.png", figure)
    print(f"pictures in {output}")


if __name__ == "__main__":
    main()
