"""Predictions by definition, in NumPy: margin, network, interpolation, views."""

from itertools import product

import numpy as np
import torch
from PIL import Image

from atrous.models.catalog import build_network
from atrous.models.contract import DenseNetwork, LogitGeometry, Normalization


class Margined(DenseNetwork):
    """A network that sees 18 x 18 px and wants 8 px more on every side than it labels, like the authors'."""

    def __init__(self, num_classes=3):
        super().__init__()
        torch.manual_seed(0)
        self.num_classes = num_classes
        self.normalization = Normalization((100.0, 110.0, 120.0), (50.0, 60.0, 70.0), "BGR")
        self.geometry = LogitGeometry(output_stride=2, center=0.5, receptive_field=18, margin=8)
        self.pool = torch.nn.MaxPool2d(2, ceil_mode=True)
        self.conv = torch.nn.Conv2d(3, num_classes, 9)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, images):
        return self.drop(self.conv(self.pool(images)))

    def class_layers(self):
        return ()

    def new_layers(self):
        return ("conv.",)


def compact_network():
    torch.manual_seed(1)
    network = build_network("compact", num_classes=3)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter)  # so that no two classes are alike
    return network


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def cells_by_hand(network, image):
    """Logits of the network's grid, from nothing but numpy and a forward pass."""
    norm, margin = network.normalization, network.margin
    pixels = image[..., ::-1] if norm.channels == "BGR" else image
    pixels = (pixels.astype(np.float32) - np.float32(norm.mean)) / np.float32(norm.std)
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    network.eval()
    with torch.no_grad():
        return network(torch.from_numpy(padded.transpose(2, 0, 1)[None].copy()))[0].double().numpy()


def at_pixels(cells, rows, columns):
    """Cells (k, y, x) read at fractional rows and columns, bilinearly, clamped to the grid."""
    num_rows, num_columns = cells.shape[1:]
    values = np.empty((len(cells), len(rows), len(columns)))
    for (i, row), (j, column) in product(enumerate(rows), enumerate(columns)):
        y, x = np.clip(row, 0, num_rows - 1), np.clip(column, 0, num_columns - 1)
        top, left = int(min(y, max(num_rows - 2, 0))), int(min(x, max(num_columns - 2, 0)))
        bottom, right = min(top + 1, num_rows - 1), min(left + 1, num_columns - 1)
        above = cells[:, top, left] * (1 - (x - left)) + cells[:, top, right] * (x - left)
        below = cells[:, bottom, left] * (1 - (x - left)) + cells[:, bottom, right] * (x - left)
        values[:, i, j] = above * (1 - (y - top)) + below * (y - top)
    return values


def logits_by_hand(network, image):
    rows, columns = ((np.arange(side) - network.center) / network.output_stride for side in image.shape[:2])
    return at_pixels(cells_by_hand(network, image), rows, columns)


def softmax(logits):
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)


def assert_most_probable(label_map, probabilities):
    """Every pixel has the label of the largest probability, unless two are as good as equal."""
    second, first = np.sort(probabilities, axis=0)[-2:]
    clear = first - second > 1e-3
    assert clear.any()
    assert np.array_equal(label_map[clear], probabilities.argmax(0)[clear])


def probabilities_of_view(network, image, scale, *, mirrored):
    """What a resized, maybe mirrored image says about the pixels of the image."""
    height, width = image.shape[:2]
    seen = round(height * scale), round(width * scale)
    view = np.asarray(Image.fromarray(image).resize((seen[1], seen[0]), Image.Resampling.BILINEAR))
    cells = cells_by_hand(network, view[:, ::-1] if mirrored else view)
    rows, columns = (
        # the middle of the pixel, in the view, in cells
        (((np.arange(side) + 0.5) * seen_side / side - 0.5) - network.center) / network.output_stride
        for side, seen_side in zip((height, width), seen, strict=True)
    )
    probabilities = softmax(at_pixels(cells, rows, columns))
    return probabilities[..., ::-1] if mirrored else probabilities
