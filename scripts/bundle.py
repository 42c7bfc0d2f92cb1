"""Put a trained network into the package, in float16: `python scripts/bundle.py CHECKPOINT NAME --data DATA`.

Writes `src/atrous/bundled/NAME.safetensors`, scores it and the one given on the split `val` in float32, and
prints the table of the model card.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from atrous.checkpoint import BUNDLED, load_checkpoint, save_checkpoint
from atrous.data.open import open_dataset
from atrous.errors import ConfigError
from atrous.evaluation.evaluate import evaluate
from atrous.evaluation.metrics import Scores
from atrous.inference.predictor import Predictor
from atrous.inference.stored import LONGEST_SIDE

MOST_BYTES = 10_000_000
SIDE = 480  # px, of CamVid's images: larger photos are shrunk to that


def main() -> None:
    """Halve, save, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name", choices=BUNDLED)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    checkpoint = load_checkpoint(arguments.checkpoint)
    tensors = {name: halved(name, tensor) for name, tensor in checkpoint.tensors.items()}
    progress = {**checkpoint.progress, LONGEST_SIDE: SIDE}
    path = BUNDLED[arguments.name]
    num_bytes = sum(tensor.nbytes for tensor in tensors.values())
    if num_bytes > MOST_BYTES:
        raise ConfigError(
            f"{path.name} would have {num_bytes:,} bytes; at most {MOST_BYTES:,} may be bundled"
        )
    save_checkpoint(path, replace(checkpoint, tensors=tensors, progress=progress))
    val = open_dataset(arguments.data, "val")
    scores = [evaluate(Predictor(file), val) for file in (arguments.checkpoint, path)]
    console = Console()
    console.print(f"{path.name}: {path.stat().st_size:,} bytes")
    console.print(table_of(*scores), markup=False, highlight=False, soft_wrap=True)


def halved(name: str, tensor: Tensor) -> Tensor:
    """In float16, if every value is told apart from zero and infinity there; counters as they are."""
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not half.isfinite().all() or ((half == 0) & (tensor.abs() > 1e-6)).any():
        raise ConfigError(f"{name} has values beyond those of float16; keep it in float32")
    return half


def table_of(given: Scores, kept: Scores) -> str:
    """Markdown: IoU by class of both, in percent."""
    classes = [(name, iou, kept.per_class_iou[name]) for name, iou in given.per_class_iou.items()]
    rows = [*classes, ("mean", given.mean_iou, kept.mean_iou)]
    lines = [f"| {name} | {100 * before:.1f} | {100 * after:.1f} |" for name, before, after in rows]
    return "\n".join(["| class | float32 | float16 |", "|---|---|---|", *lines])


if __name__ == "__main__":
    main()
