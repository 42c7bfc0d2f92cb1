"""A whole training run: data, network, stages, in the order of the recipe, from wherever it stopped."""

import os

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from atrous.data.open import open_dataset
from atrous.data.samples import Samples
from atrous.evaluation.metrics import Scores
from atrous.inference.machine import computes_in_bfloat16, pick_device
from atrous.jobs.interrupt import listen
from atrous.jobs.progress import Job, Progress
from atrous.jobs.run_folder import Position, RunFolder
from atrous.jobs.train import STAGES, TrainConfig, TrainResult
from atrous.jobs.training_stage import Bench, StageRun, under
from atrous.models.catalog import build_network
from atrous.models.contract import DenseNetwork
from atrous.models.pretrained import initialize_
from atrous.training.losses import median_frequency_weights


def train_network(config: TrainConfig) -> Job[TrainResult]:
    """Run the stages of the config that are not done yet; see `atrous.jobs.train.run`."""
    folder = RunFolder(config.output)
    tensors, position = folder.load_state() if config.resume else ({}, None)
    train_set = open_dataset(config.data, config.train_split)
    val_set = open_dataset(config.data, config.val_split) if config.val_split else None
    fabric = launch(config)
    network = _start_network(config, train_set, under("network.", tensors)).to(fabric.device)
    class_weights = None
    if any(stage.class_weights == "median_frequency" for stage in config.stages.values()):
        class_weights = yield from _class_weights(train_set)
    scores: dict[str, Scores] = {}
    with listen() as wish:
        bench = Bench(config, fabric, network, train_set, val_set, folder, wish, class_weights)
        for name in config.stages:
            if position is not None and _is_done(name, position, config):
                if not folder.stage_model(name).exists():
                    folder.finish_stage(name)
                continue
            if position is None or position.stage != name:
                position, tensors = Position(name, 0, rows=position.rows if position else ()), {}
            stage_run = StageRun(bench, name, position, tensors)
            if stage_scores := (yield from stage_run.run()):
                scores[name] = stage_scores
            position = stage_run.position
    return TrainResult(folder.model, scores)


def launch(config: TrainConfig) -> Fabric:
    """Device and precision; under `torchrun`, one of its processes."""
    device = pick_device(config.device)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    nodes = int(os.environ.get("WORLD_SIZE", "1")) // processes
    fabric = Fabric(
        accelerator=device.type,
        devices=processes,
        num_nodes=nodes,
        strategy="ddp" if processes * nodes > 1 else "auto",
        precision="bf16-mixed" if computes_in_bfloat16(device, config.precision) else "32-true",
    )
    fabric.launch()
    return fabric


def _start_network(config: TrainConfig, train_set: Samples, tensors: dict[str, Tensor]) -> DenseNetwork:
    """The network with the weights it starts from: the seed's, the given file's, or the resumed run's."""
    torch.manual_seed(config.seed)
    network = build_network(
        config.network,
        num_classes=train_set.label_set.num_classes,
        context_module=config.context_module,
        noise=config.noise,
    )
    if config.init is not None:
        initialize_(network, config.init)  # also on resume: it may set the normalization
    if tensors:
        network.load_state_dict(tensors)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _class_weights(train_set: Samples) -> Job[Tensor]:
    """Median-frequency weights of the labels of all training samples."""
    pixel_counts = np.zeros(256, np.int64)
    for index in range(len(train_set)):
        pixel_counts += np.bincount(train_set[index].labels.ravel(), minlength=256)
        yield Progress(index + 1, len(train_set), "class frequencies")
    num_classes = train_set.label_set.num_classes
    return median_frequency_weights(torch.from_numpy(pixel_counts[:num_classes]))


def _is_done(name: str, position: Position, config: TrainConfig) -> bool:
    """Whether the stage lies behind the position."""
    if name == position.stage:
        return position.step >= config.stages[name].num_steps
    return STAGES.index(name) < STAGES.index(position.stage)
