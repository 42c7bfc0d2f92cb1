"""Seams: the labels of an image in windows, and in bands, against those of the whole image.

The network of `atrous demo` that sees 296 px labels a sheet of six scenes. Windows of 128 px with an
overlap of 16 px, as large images are usually cut, show it less than it sees; bands, as `atrous predict` takes
them, are pushed through layer by layer and give the labels of the whole image.

    python examples/seams.py --demo runs/demo --output FOLDER
"""

import argparse
from pathlib import Path

import numpy as np
from context import find_demo, paint
from matplotlib.figure import Figure

from atrous import Predictor
from atrous.data.scenes import Scenes
from atrous.figures.canvas import DOTS_PER_INCH, INK

ROWS, COLUMNS = 2, 3  # of scenes
WINDOW, OVERLAP = 128, 16  # px
CHANGED = (0, 0, 0)  # color of labels that are not those of the whole image
QUALITY = 88  # of the JPEG


def build_sheet() -> np.ndarray:
    """Scenes side by side and below each other, (h, w, 3)."""
    scenes = Scenes("test")
    images = [scenes[3 * number].image for number in range(ROWS * COLUMNS)]
    rows = [np.concatenate(images[row * COLUMNS :][:COLUMNS], axis=1) for row in range(ROWS)]
    return np.concatenate(rows)


def starts(length: int) -> list[int]:
    """First pixels of the windows along a side; the last window ends with it."""
    steps = range(0, length - WINDOW, WINDOW - 2 * OVERLAP)
    return [*steps, length - WINDOW]


def label_in_windows(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    """Each window's labels without the overlap, except at the image's own border."""
    label_map = np.zeros(image.shape[:2], np.int64)
    for top in starts(image.shape[0]):
        for left in starts(image.shape[1]):
            part = predictor(image[top : top + WINDOW, left : left + WINDOW]).label_map
            row, column = (OVERLAP if start else 0 for start in (top, left))
            label_map[top + row : top + WINDOW, left + column : left + WINDOW] = part[row:, column:]
    return label_map


def main() -> None:
    """Label in all three ways, count, draw."""
    parser = argparse.ArgumentParser(description="Seams, and none.")
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"))
    parser.add_argument("--output", type=Path, default=Path("runs/seams"))
    arguments = parser.parse_args()
    predictor = find_demo(arguments.demo)["with_context"]
    image = build_sheet()
    whole = predictor(image).label_map
    bands = list(predictor.label_rows(image.shape[:2], lambda start, stop: image[start:stop]))
    found = {f"windows of {WINDOW} px": label_in_windows(predictor, image), "bands": np.concatenate(bands)}
    pictures = {"image": image}
    for name, label_map in found.items():
        changed = label_map != whole
        print(f"{name}: {changed.mean():.2%} of the labels are not those of the whole image")
        labels = paint(image, label_map)
        labels[changed] = CHANGED
        pictures[f"{name}: {changed.mean():.2%} of the labels changed"] = labels
    figure = Figure(figsize=(12, 3.1), layout="constrained")
    for axes, (title, picture) in zip(figure.subplots(1, 3), pictures.items(), strict=True):
        axes.imshow(picture)
        axes.set_title(title, color=INK, fontsize=11)
        axes.set_axis_off()
    arguments.output.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output / "seams.jpg", dpi=DOTS_PER_INCH, pil_kwargs={"quality": QUALITY})
    print(f"pictures: {arguments.output}")


if __name__ == "__main__":
    main()
