"""How long the network's part of a prediction takes by each engine, and what it does to the labels.

Run it as `python benchmarks/prediction.py --json prediction.json` on an otherwise idle machine. Every round
takes a fresh image and runs all engines on it one after another, so that ratios are those of neighboring
runs. "by hand" is OpenVINO's plain API in bfloat16, without code of ours. `--images FOLDER` takes real
images, to predict and to calibrate int8 on, instead of crops of one photo; `--weights FILE` loads a VGG-16
into the networks that stand on one. Heads have fresh weights, whose labels are closer calls than trained
ones'.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from atrous.data.images import image_files, read_image
from atrous.inference.calibration import as_seen_by
from atrous.inference.engines import build_engine
from atrous.models.catalog import build_network
from atrous.models.contract import DenseNetwork
from atrous.models.dilated_classifier import DilatedClassifier
from atrous.models.frontend import FrontEnd
from atrous.models.pretrained import initialize_
from atrous.surgery.dilate import dilate

SIZE = (360, 480)  # height, width; CamVid's
NUM_CLASSES = 21
NUM_PHOTOS = 20  # crops to calibrate on, where no folder is given
CPU = torch.device("cpu")
Compute = Callable[[Tensor], Tensor]


class Bottleneck(nn.Module):
    """He et al. 2016, figure 5 right, with the stride in the 3x3 convolution."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width),
        )  # fmt: skip
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != 4 * width:
            projection = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(4 * width))
        nn.init.constant_(self.residual[7].weight, 0.2)  # type: ignore[arg-type] (or 16 sums grow and grow)

    def forward(self, images: Tensor) -> Tensor:
        """A quarter of the channels inside, added to what came in."""
        return (self.residual(images) + self.shortcut(images)).relu_()


class ResNet50(nn.Module):
    """He et al. 2016, table 1."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        layers = [stem, nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for width, depth in ((64, 3), (128, 4), (256, 6), (512, 3)):
            for index in range(depth):
                layers.append(Bottleneck(channels, width, 2 if index == 0 and width > 64 else 1))
                channels = 4 * width
        self.layers = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes (b, k)."""
        return self.classifier(self.pool(self.layers(images)).flatten(1))


class Segmenter(nn.Module):
    """Features at stride 8, and a 1x1 convolution to classes."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.final = nn.Conv2d(2048, NUM_CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (b, k, ceil(h / 8), ceil(w / 8))."""
        return self.final(self.features(images))


def resnet50() -> DilatedClassifier:
    """ResNet-50 at output stride 8 with fresh weights."""
    dense = dilate(ResNet50(NUM_CLASSES), torch.zeros(1, 3, 64, 64), output_stride=8)
    return DilatedClassifier(Segmenter(dense), (64, 64))


NETWORKS: dict[str, Callable[[], DenseNetwork]] = {
    "dilation8": partial(build_network, "dilation8", num_classes=NUM_CLASSES),
    "frontend_light": partial(build_network, "frontend_light", num_classes=NUM_CLASSES),
    "resnet50": resnet50,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One engine on one network.

    `milliseconds` is the median; `ratios` are how many times faster it is than the column named, median,
    lowest and highest of the pairs. `error` is the norm of the difference to float32 by the norm of the
    logits, `agreement` the share of cells with the same label; both are the mean over the images.
    """

    network: str
    engine: str
    description: str
    first_seconds: float
    milliseconds: float
    ratios: dict[str, tuple[float, float, float]]
    error: float
    agreement: float


def by_hand(network: DenseNetwork) -> Compute:
    """OpenVINO in bfloat16 as its documentation does it."""
    import openvino

    height, width = (side + 2 * network.margin for side in SIZE)
    program = torch.export.export(network.eval(), (torch.zeros(1, 3, height, width),), strict=False)
    model = openvino.convert_model(program)
    model.reshape([1, 3, height, width])
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16"}
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    return lambda images: torch.from_numpy(compiled(images.numpy())[0])


def eager(network: DenseNetwork) -> Compute:
    """The network as it is."""

    def compute(images: Tensor) -> Tensor:
        with torch.inference_mode():
            return network(images)

    return compute


def measure(name: str, network: DenseNetwork, folder: Path, *, repeats: int, cache: Path) -> list[Row]:
    """All engines on fresh images, in turn."""
    network.eval()
    build = partial(build_engine, network, device=CPU, cache_folder=cache)
    engines: dict[str, Compute] = {
        "eager float32": eager(network),
        "torch": build(engine="torch"),
        "by hand": by_hand(network),
        "auto": build(sizes_repeat=True),
        "int8": build(precision="int8", calibration=folder),
    }
    images = inputs(network, folder)
    first = {engine: _timed(compute, next(images))[0] for engine, compute in engines.items()}
    times: dict[str, list[float]] = {engine: [] for engine in engines}
    quality: dict[str, list[tuple[float, float]]] = {engine: [] for engine in engines}
    for _ in range(repeats):
        image = next(images)
        answers: dict[str, Tensor] = {}
        for engine, compute in engines.items():
            seconds, answers[engine] = _timed(compute, image)
            times[engine].append(seconds)
        for engine, logits in answers.items():
            quality[engine].append(_quality(logits, answers["eager float32"]))
    return [
        Row(
            name,
            engine,
            getattr(engines[engine], "description", engine),
            first[engine],
            1e3 * statistics.median(times[engine]),
            {other: _ratios(times[other], times[engine]) for other in engines if other != engine},
            *(statistics.mean(part) for part in zip(*quality[engine], strict=True)),
        )
        for engine in engines
    ]


def inputs(network: DenseNetwork, folder: Path) -> Iterator[Tensor]:
    """Images of a folder without end, each with a little noise of its own."""
    generator = np.random.default_rng(1)
    files = image_files(folder)
    while True:
        image = read_image(files[generator.integers(len(files))])
        noisy = image + generator.integers(-3, 4, image.shape)
        yield as_seen_by(network, noisy.clip(0, 255).astype(np.uint8), size=SIZE)


def write_photos(folder: Path) -> None:
    """Crops of matplotlib's photo."""
    generator = np.random.default_rng(0)
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as photo:
        for index in range(NUM_PHOTOS):
            left, top = (int(generator.integers(0, side // 2)) for side in photo.size)
            box = (left, top, left + photo.width // 2, top + photo.height // 2)
            photo.convert("RGB").crop(box).resize((SIZE[1], SIZE[0])).save(folder / f"{index:02}.png")


def _timed(compute: Compute, images: Tensor) -> tuple[float, Tensor]:
    start = time.perf_counter()
    logits = compute(images)
    return time.perf_counter() - start, logits


def _ratios(slower: list[float], faster: list[float]) -> tuple[float, float, float]:
    ratios = sorted(a / b for a, b in zip(slower, faster, strict=True))
    return statistics.median(ratios), ratios[0], ratios[-1]


def _quality(logits: Tensor, truth: Tensor) -> tuple[float, float]:
    error = float((logits - truth).norm() / truth.norm())
    return error, float((logits.argmax(1) == truth.argmax(1)).float().mean())


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--images", type=Path, help="folder of images")
    parser.add_argument("--weights", type=Path, help="VGG-16, as atrous train --init takes it")
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS], choices=[*NETWORKS])
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.images or Path(scratch, "photos")
        if arguments.images is None:
            folder.mkdir()
            write_photos(folder)
        for name in arguments.networks:
            torch.manual_seed(0)
            network = NETWORKS[name]()
            if arguments.weights is not None and any(isinstance(m, FrontEnd) for m in network.modules()):
                initialize_(network, arguments.weights)
            rows += measure(name, network, folder, repeats=arguments.repeats, cache=Path(scratch, "cache"))
    Console(width=130).print(table(rows))
    if arguments.json is not None:
        numbers = {
            "threads": torch.get_num_threads(),
            "repeats": arguments.repeats,
            "rows": [*map(asdict, rows)],
        }
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


def table(rows: list[Row]) -> Table:
    """A line an engine."""
    columns = (
        "network",
        "engine",
        "first, s",
        "ms",
        "x eager float32",
        "x by hand",
        "x auto",
        "error",
        "same labels",
    )
    result = Table(*columns, title=f"{SIZE[1]} x {SIZE[0]}, {torch.get_num_threads()} threads")
    for row in rows:
        result.add_row(
            row.network,
            row.engine,
            f"{row.first_seconds:.1f}",
            f"{row.milliseconds:.0f}",
            *(_ratio_cell(row.ratios.get(other)) for other in ("eager float32", "by hand", "auto")),
            f"{row.error:.2g}",
            f"{100 * row.agreement:.2f}%",
        )
    return result


def _ratio_cell(ratio: tuple[float, float, float] | None) -> str:
    return "" if ratio is None else "{:.2f} ({:.2f} to {:.2f})".format(*ratio)


if __name__ == "__main__":
    main()
