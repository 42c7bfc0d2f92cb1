"""A recipe for a data set and a machine that nobody gave one for, and the reasons."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from atrous.data.quantity import MeasuredSamples, Quantity
from atrous.data.samples import Samples
from atrous.inference.machine import autocast, pick_device
from atrous.jobs.train import TrainConfig
from atrous.models.catalog import build_network
from atrous.models.contract import DenseNetwork
from atrous.models.dilated_net import DilatedNet
from atrous.models.packaged_weights import starting_weights
from atrous.models.vgg_weights import stands_on_vgg
from atrous.training.settings import Stage

LARGEST_CROP = {"cpu": 320, "gpu": 512}  # px
MOST_EPOCHS = 200
LEAST_STEPS = 100
SHARES = {"front_end": 0.7, "context": 0.15, "joint": 0.15}  # of all steps
LOOKED_AT = 16  # samples
SMALL = 1_000_000  # parameters
LOSSES = {
    "cross_entropy+lovasz": "loss cross_entropy+lovasz: the second part looks after classes with few pixels",
    "silog": "loss silog: depth counts by its ratio, and less by the scale of a whole image",
    "l1": "loss l1: motion in pixels, without weighing large errors more",
}


@dataclass(frozen=True, slots=True)
class Situation:
    """What the choice depends on.

    Attributes:
        num_samples: Of the training split.
        image_size: Median height and width in pixels.
        on_gpu: Whether a GPU computes.
        pretrained: Whether starting weights are given.
        minutes: Time the training may take.
        quantity: What is measured, in a regression.
    """

    num_samples: int
    image_size: tuple[int, int]
    on_gpu: bool
    pretrained: bool
    minutes: float
    quantity: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipe and why; the reasons are shown and stand above the saved recipe."""

    config: TrainConfig
    reasons: tuple[str, ...]


def look_at(dataset: Samples | MeasuredSamples, config: TrainConfig) -> Situation:
    """The situation, from a few samples and the machine."""
    indices = np.linspace(0, len(dataset) - 1, min(LOOKED_AT, len(dataset))).round().astype(int)
    sizes = np.array([dataset[int(index)].image.shape[:2] for index in indices])
    height, width = np.median(sizes, axis=0).astype(int)
    return Situation(
        num_samples=len(dataset),
        image_size=(int(height), int(width)),
        on_gpu=pick_device(config.device).type != "cpu",
        pretrained=config.init is not None,
        minutes=config.minutes,
        quantity=dataset.quantity if isinstance(dataset, MeasuredSamples) else None,
    )


def pick(config: TrainConfig, situation: Situation, *, num_classes: int) -> Choice:
    """Network (unless the config names one), crop, batch, schedule and steps."""
    name, why = (config.network, "as you asked") if config.network else _pick_network(situation)
    picked = replace(config, network=name)
    channels = situation.quantity.in_channels if situation.quantity else 3
    network = build_network(
        name,
        num_classes=num_classes,
        in_channels=channels,
        backbone=config.backbone,
        context_module=config.context_module,
    )
    is_pretrained = situation.pretrained or starting_weights(config.init, network) is not None
    largest = LARGEST_CROP["gpu" if situation.on_gpu else "cpu"]
    height, width = (min(largest, -(-side // 8) * 8) for side in situation.image_size)
    batch_size = 8 if situation.on_gpu or network.num_parameters() < SMALL else 2
    seconds = seconds_per_step(network, config, (batch_size, channels, height, width))
    most = MOST_EPOCHS * situation.num_samples // batch_size
    num_steps = max(LEAST_STEPS, min(int(situation.minutes * 60 / seconds), most))
    loss = _pick_loss(situation.quantity)
    sizes = f"{situation.image_size[0]} x {situation.image_size[1]}"
    reasons = (
        f"network {name}: {why}",
        f"crops of {height} x {width} px: images are about {sizes}, and beyond {largest} px it is slow here",
        f"{num_steps} steps of {batch_size} crops, at least {LEAST_STEPS}: a step takes {seconds:.2f} s on "
        f"this machine, {situation.minutes:g} minutes are allowed (--minutes), and {situation.num_samples} "
        f"images are worth {MOST_EPOCHS} epochs at most",
        LOSSES[loss],
    )
    first = _first_stage(num_steps, batch_size, (height, width), pretrained=is_pretrained)
    first = replace(first, loss=loss)
    if is_pretrained and stands_on_vgg(network):
        first = replace(first, frozen=("conv1_", "conv2_"))
    return Choice(_with_stages(picked, first, has_context=isinstance(network, DilatedNet)), reasons)


def _pick_loss(quantity: Quantity | None) -> str:
    if quantity is None:
        return "cross_entropy+lovasz"
    return "silog" if quantity.is_log else "l1"


def _pick_network(situation: Situation) -> tuple[str, str]:
    if situation.quantity is not None:
        return "compact_regressor", "its context module works on features, so one or two values may pass"
    if not situation.pretrained:
        return (
            "compact_context",
            "without starting weights (--init) only a small network learns from few images",
        )
    if situation.on_gpu:
        return "dilation8", "the authors' network; starting weights and a GPU are there"
    return "dilation8_light", "starting weights are there and no GPU, so the front end has the light head"


def _first_stage(num_steps: int, batch_size: int, crop_size: tuple[int, int], *, pretrained: bool) -> Stage:
    """A stage of all steps on the front end, as tried on CamVid (docs/results.md)."""
    return Stage(
        num_steps=num_steps,
        batch_size=batch_size,
        crop_size=crop_size,
        scale=(0.6, 1.6),
        color=0.2,
        optimizer="adamw",
        learning_rate=1e-4 if pretrained else 1e-3,
        new_layers_factor=5.0 if pretrained else 1.0,
        weight_decay=0.01,
        warmup_steps=20,
        loss="cross_entropy+lovasz",
        loss_stride=2,
    )


def _with_stages(config: TrainConfig, first: Stage, *, has_context: bool) -> TrainConfig:
    """The steps shared among the three stages, or all for the front end where there is nothing else."""
    if not has_context:
        return replace(config, front_end=first)
    steps = {name: round(share * first.num_steps) for name, share in SHARES.items()}
    front_end = replace(first, num_steps=steps["front_end"])
    context = Stage(
        num_steps=steps["context"],
        batch_size=8,
        crop_size=first.crop_size,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.01,
        warmup_steps=20,
        loss=first.loss,
        loss_stride=2,
    )
    joint = replace(
        first, num_steps=steps["joint"], learning_rate=0.3 * first.learning_rate, new_layers_factor=1.0
    )
    return replace(config, front_end=front_end, context=context, joint=joint)


def seconds_per_step(network: DenseNetwork, config: TrainConfig, shape: tuple[int, ...]) -> float:
    """Measured on inputs (b, c, *spatial): the second of two updates, without reading data."""
    device = pick_device(config.device)
    network.to(device)
    batch, channels, *sides = shape
    padded = [side + 2 * network.margin for side in sides]
    images = torch.zeros(batch, channels, *padded, device=device).contiguous(
        memory_format=network.memory_format
    )
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        with autocast(device, config.precision):
            logits = network(images)
        logits.float().square().mean().backward()
        seconds = time.perf_counter() - started
    return seconds
