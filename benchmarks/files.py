"""What files cost: `atrous predict` from image files to label maps and overlays, against the network alone.

Run it as `python benchmarks/files.py --data DATA/camvid --json files.json` on an otherwise idle machine. The
networks have fresh weights. Blocks of images go through the bare network, the predictor and the job in turn;
ratios are those of one block. Left out: imports and the first images, which compile and allocate; loading the
checkpoint is in the job's time, once a block.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from atrous.checkpoint import save_checkpoint
from atrous.data.camvid import CAMVID_COLORS
from atrous.data.images import image_files, read_image
from atrous.data.labels import LabelSet
from atrous.inference.predictor import Predictor
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig, run
from atrous.jobs.progress import drain
from atrous.models.catalog import build_network, to_checkpoint

NUM_IMAGES, BLOCK = 100, 25
CAMVID = Path(__file__).parents[2] / "shared" / "data" / "camvid"
LABELS = LabelSet(tuple(CAMVID_COLORS), tuple(colors[0] for colors in CAMVID_COLORS.values()))


@dataclass(frozen=True, slots=True)
class Row:
    """One network: ms an image, and the job's time by the bare network's: median and range of blocks."""

    network: str
    threads: int
    images: int
    bare: float
    predictor: float
    job: float
    ratio: float
    spread: tuple[float, float]


def measure(name: str, images: list[Path], folder: Path) -> Row:
    """Alternate the three on blocks of images."""
    checkpoint = folder / f"{name}.safetensors"
    torch.manual_seed(0)
    network = build_network(name, num_classes=LABELS.num_classes)
    save_checkpoint(checkpoint, to_checkpoint(network, name=name, labels=LABELS.to_dict(), progress={}))
    predictor = Predictor(checkpoint, device="cpu")
    times: dict[str, list[float]] = {"bare": [], "predictor": [], "job": []}
    for start in (-1, *range(0, len(images), BLOCK)):  # the first, of two images, only warms up
        block = images[start : start + BLOCK] if start >= 0 else images[:2]
        pixels = [read_image(path) for path in block]
        output = folder / f"{name}{start}"
        seconds = {
            "bare": timed(lambda: [predictor.scores(each) for each in pixels]),  # noqa: B023 (called at once)
            "predictor": timed(lambda: [predictor(each).label_map for each in pixels]),  # noqa: B023
            "job": timed(lambda: predict(block, checkpoint, output)),  # noqa: B023
        }
        for part, value in seconds.items():
            times[part].append(value)
    return row_of(name, len(images), {part: values[1:] for part, values in times.items()})


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def predict(images: list[Path], checkpoint: Path, output: Path) -> None:
    """The public job."""
    paths = tuple(map(str, images))
    drain(run(PredictConfig(paths, checkpoint, output, inference=InferenceSettings(device="cpu"))))


def row_of(name: str, count: int, times: dict[str, list[float]]) -> Row:
    """Sums and ratios."""
    ratios = sorted(job / bare for job, bare in zip(times["job"], times["bare"], strict=True))
    each = {part: 1e3 * sum(values) / count for part, values in times.items()}
    ratio = statistics.median(ratios)
    return Row(name, torch.get_num_threads(), count, **each, ratio=ratio, spread=(ratios[0], ratios[-1]))


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=CAMVID, help="CamVid, with val/ and train/")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--networks", nargs="+", default=["frontend_light", "compact"])
    arguments = parser.parse_args()
    if not (arguments.data / "val").is_dir():
        print(f"skipped: no CamVid at {arguments.data}; give its folder as --data")
        return
    images = [path for split in ("val", "train") for path in image_files(arguments.data / split)]
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(name, images[:NUM_IMAGES], Path(folder)) for name in arguments.networks]
    Console(width=110).print(table(rows))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([*map(asdict, rows)], indent=2) + "\n", encoding="utf-8")


def table(rows: list[Row]) -> Table:
    """Milliseconds an image, and the ratio."""
    columns = ("network", "threads", "bare, ms", "predictor", "file to file", "times bare")
    drawn = Table(*columns, title=f"{rows[0].images} images of CamVid, 480 x 360")
    for row in rows:
        low, high = row.spread
        drawn.add_row(
            row.network,
            str(row.threads),
            f"{row.bare:.1f}",
            f"{row.predictor:.1f}",
            f"{row.job:.1f}",
            f"{row.ratio:.2f} ({low:.2f} to {high:.2f})",
        )
    return drawn


if __name__ == "__main__":
    main()
