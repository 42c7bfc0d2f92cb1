"""An image in parts against the whole: by bands, by exact tiles, and by MONAI's overlapping windows.

Run it as `python benchmarks/parts.py --json parts.json` on an otherwise idle machine; `pip install --no-deps
monai` adds the last. Every round takes a fresh image through all of them in turn, so that ratios are those of
neighboring runs. `--checkpoint FILE --images FOLDER` takes a trained network and real images, brought to
512 x 768; without, a light front end with a context module, fresh, sees noise. Times are of the network's
part: from pixels to logits on its own grid, normalization included.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from atrous.checkpoint import load_checkpoint
from atrous.data.images import image_files, read_image
from atrous.inference.bands import Bands
from atrous.inference.engine import TorchEngine
from atrous.inference.prepared import Prepared, prepared
from atrous.inference.tiles import Tiles
from atrous.models.catalog import build_network, network_of
from atrous.models.contract import DenseNetwork

SIZE = (512, 768)  # height, width
OVERLAP = 0.25
WINDOWS = (256, 384)  # MONAI's roi_size
CPU = torch.device("cpu")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Compute = Callable[[np.ndarray], Tensor]


@dataclass(frozen=True, slots=True)
class Row:
    """One way: ms an image, its time by the whole's (median and range of pairs), and what it changes.

    `error` is the largest difference of a logit by the largest logit, `changed` the share of cells with
    another label; both are the worst of the images.
    """

    precision: str
    way: str
    milliseconds: float
    ratio: tuple[float, float, float]
    error: float
    changed: float


def ways_of(network: DenseNetwork, computed: Prepared, *, budget: int) -> dict[str, Compute]:
    """The whole, and its rivals."""
    bands = Bands(network, computed, SIZE, device=CPU)
    low = Bands(network, computed, SIZE, device=CPU)
    low.rows = 32
    tiles = Tiles(
        network,
        torch.zeros(1, 3, *SIZE),
        memory_budget=budget,
        build=lambda part: TorchEngine(prepared(part, dtype=computed.dtype, device=CPU), device=CPU),
    )

    def whole(image: np.ndarray) -> Tensor:
        with torch.inference_mode():
            return computed(_normalized(network, image))[0]

    def by_bands(bands: Bands) -> Compute:
        return lambda image: torch.cat(list(bands.cells(lambda start, stop: image[start:stop])), 1)

    def by_tiles(image: np.ndarray) -> Tensor:
        return tiles(_normalized(network, image))[0]

    plan, *rest = tiles.plan(SIZE)
    context = ", then the context module" if rest else ""
    ways = {
        "whole": whole,
        f"bands of {bands.rows} rows": by_bands(bands),
        f"bands of {low.rows} rows": by_bands(low),
        f"{plan.num_tiles} exact tiles of {plan.tile_size[0]} x {plan.tile_size[1]}{context}": by_tiles,
    }
    return ways | monai_ways(network, computed)


def monai_ways(network: DenseNetwork, computed: Prepared) -> dict[str, Compute]:
    """MONAI's sliding window, windows blended evenly and by a Gaussian; none if it is not installed."""
    try:
        from monai.inferers.utils import sliding_window_inference
    except ImportError:
        print("MONAI is left out: pip install --no-deps monai")
        return {}

    def by_windows(side: int, mode: str) -> Compute:
        def compute(image: np.ndarray) -> Tensor:
            with torch.inference_mode():
                images = _normalized(network, image)
                logits = sliding_window_inference(
                    images, (side, side), 1, computed, overlap=OVERLAP, mode=mode
                )
            assert isinstance(logits, Tensor)
            return logits[0]

        return compute

    return {
        f"MONAI, {side} px, {mode}": by_windows(side, mode)
        for side in WINDOWS
        for mode in ("constant", "gaussian")
    }


def measure(
    network: DenseNetwork, images: Iterator[np.ndarray], *, precision: str, repeats: int
) -> list[Row]:
    """All ways on fresh images, in turn."""
    computed = prepared(network.eval(), dtype=DTYPES[precision], device=CPU).eval()
    ways = ways_of(network, computed, budget=120 << 20)
    times: dict[str, list[float]] = {way: [] for way in ways}
    errors, changes = (dict.fromkeys(ways, 0.0) for _ in range(2))
    for turn in range(repeats + 1):
        image = next(images)
        answers: dict[str, Tensor] = {}
        for way, compute in ways.items():
            start = time.perf_counter()
            answers[way] = compute(image)
            if turn:  # the first only warms up
                times[way].append(time.perf_counter() - start)
        for way, logits in answers.items():
            difference, change = _difference(logits, answers["whole"])
            errors[way], changes[way] = max(errors[way], difference), max(changes[way], change)
    rows = []
    for way, seconds in times.items():
        pairs = sorted(a / b for a, b in zip(seconds, times["whole"], strict=True))
        ratio = statistics.median(pairs), pairs[0], pairs[-1]
        rows.append(Row(precision, way, 1e3 * statistics.median(seconds), ratio, errors[way], changes[way]))
    return rows


def pictures(folder: Path | None) -> Iterator[np.ndarray]:
    """Images of a folder without end, each with a little noise of its own, or nothing but noise."""
    generator = np.random.default_rng(1)
    files = () if folder is None else image_files(folder)
    while True:
        if not files:
            yield generator.integers(0, 256, (*SIZE, 3), np.uint8)
            continue
        image = Image.fromarray(read_image(files[generator.integers(len(files))]))
        resized = np.asarray(image.resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR))
        yield (resized + generator.integers(-3, 4, resized.shape)).clip(0, 255).astype(np.uint8)


def _normalized(network: DenseNetwork, image: np.ndarray) -> Tensor:
    return network.normalization.apply(torch.from_numpy(image).permute(2, 0, 1)[None].float())


def _difference(logits: Tensor, truth: Tensor) -> tuple[float, float]:
    error = float((logits - truth).abs().max() / truth.abs().max())
    return error, float((logits.argmax(0) != truth.argmax(0)).float().mean())


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--checkpoint", type=Path, help="a same-padded network of the catalog")
    parser.add_argument("--images", type=Path, help="folder of images")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.checkpoint is None:
        network = build_network("dilation8_light", num_classes=21)
    else:
        network = network_of(load_checkpoint(arguments.checkpoint), source=str(arguments.checkpoint))
    rows = [
        row
        for precision in DTYPES
        for row in measure(
            network, pictures(arguments.images), precision=precision, repeats=arguments.repeats
        )
    ]
    Console(width=120).print(table(rows))
    if arguments.json is not None:
        numbers = {"threads": torch.get_num_threads(), "repeats": arguments.repeats}
        text = json.dumps({**numbers, "rows": [*map(asdict, rows)]}, indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def table(rows: list[Row]) -> Table:
    """A line a way."""
    columns = ("precision", "way", "ms", "times the whole", "largest error", "labels changed")
    drawn = Table(*columns, title=f"{SIZE[0]} x {SIZE[1]}, {torch.get_num_threads()} threads")
    for row in rows:
        drawn.add_row(
            row.precision,
            row.way,
            f"{row.milliseconds:.0f}",
            "{:.2f} ({:.2f} to {:.2f})".format(*row.ratio),
            f"{row.error:.1e}",
            f"{100 * row.changed:.2f}%",
        )
    return drawn


if __name__ == "__main__":
    main()
