"""The processes of a training: one, or several under `torchrun`, of which one may die."""

import atexit
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning_fabric import Fabric

from atrous.checkpoint import load_header
from atrous.errors import TrainingError
from atrous.inference.machine import Precision, computes_in_bfloat16, pick_device

_LOST = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
"""Of which one stands in the plain RuntimeError of a process whose peer is gone."""


def launch(*, device: str, precision: Precision) -> Fabric:
    """Device and precision of this process; under `torchrun`, of one of its processes.

    Args:
        device: auto, cpu, cuda, mps.
        precision: float32, bfloat16, or auto.

    Raises:
        ConfigError: If there is no such device.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision
    place = pick_device(device)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    nodes = int(os.environ.get("WORLD_SIZE", "1")) // processes
    fabric = Fabric(
        accelerator=place.type,
        devices=processes if place.index is None else [place.index],
        num_nodes=nodes,
        strategy="ddp" if processes * nodes > 1 else "auto",
        precision="bf16-mixed" if computes_in_bfloat16(place, precision) else "32-true",
    )
    fabric.launch()
    if processes * nodes > 1:
        atexit.register(_leave_processes)
    return fabric


def _leave_processes() -> None:
    """Close gloo's threads before the interpreter goes; a process that ends over them aborts at times."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def lost_processes_told(fabric: Fabric, state: Path) -> Iterator[None]:
    """Say what it means if another process of the training is gone, and what is left of it.

    Args:
        fabric: Of the training.
        state: What `--resume` reads.

    Raises:
        TrainingError: In the place of the error of the connection to that process.
    """
    try:
        yield
    except RuntimeError as error:
        if fabric.world_size == 1 or not any(mark in str(error) for mark in _LOST):
            raise
        saved = load_header(state)["position"]
        raise TrainingError(
            f"another of the {fabric.world_size} processes of this training is gone (its own output says "
            f"why); step {saved['step']} of {saved['stage']} is saved: start all of them again with --resume"
        ) from error
