"""A whole training run: data, network, stages, in the order of the recipe, from wherever it stopped."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from atrous.config import to_toml
from atrous.data.folder import Dataset
from atrous.data.label_tracks import TrackMask
from atrous.data.labels import LabelSet
from atrous.data.order import in_order_of, ordered_like
from atrous.data.quantity import MeasuredSamples
from atrous.data.samples import AnySamples, Samples
from atrous.data.voice import Recordings
from atrous.errors import CheckpointError, ConfigError
from atrous.jobs.crf_settings import describe, settings_of
from atrous.jobs.crf_training import start_crf
from atrous.jobs.interrupt import listen
from atrous.jobs.processes import launch, lost_processes_told
from atrous.jobs.progress import Job, Progress
from atrous.jobs.provenance import Provenance, differences, provenance_of
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.run_state import Position, Row, State
from atrous.jobs.stage_files import Bench
from atrous.jobs.stage_plan import StagePlan, plan_stages
from atrous.jobs.task import Task
from atrous.jobs.tasks import meaning_of_samples, open_samples, task_of
from atrous.jobs.tensorboard import tensorboard_events
from atrous.jobs.train import STAGES, TrainConfig, TrainResult
from atrous.jobs.training_stage import StageRun
from atrous.models.catalog import build_network
from atrous.models.companding import Companding
from atrous.models.contract import DenseNetwork
from atrous.models.packaged_weights import PACKAGE, starting_weights
from atrous.models.pretrained import Start, initialize_, starting_checkpoint, starting_classes
from atrous.training.losses import median_frequency_weights


def train_network(config: TrainConfig, *, reasons: Sequence[str] = ()) -> Job[TrainResult]:
    """Run the stages of the config that are not done yet; see `atrous.jobs.train.run`.

    The recipe is written, with the reasons for what was picked above it, once everything is known to fit.
    """
    folder = RunFolder(config.output)
    state = folder.load_state() if config.resume and folder.last.exists() else None
    config = replace(config, resume=state is not None)  # a run killed before its first save starts anew
    known = state.label_set if state else starting_classes(config.init)
    train_set = _samples(config, config.train_split, known)
    val_set = _samples(config, config.val_split, train_set.label_set) if config.val_split else None
    task = task_of(meaning_of_samples(train_set))
    fabric = launch(device=config.device, precision=config.precision)
    config = fabric.broadcast(config)  # a picked recipe depends on the speed that each process measured
    network, start = _start_network(config, train_set, state, task)
    task.refuse(config, network)
    _refuse_other_axes(network, train_set, config)
    given = None if state else starting_checkpoint(config.init, label_set=train_set.label_set)
    crf = start_crf(config, checkpoint=given, num_classes=network.num_classes, state=state)
    if start is not None:
        yield Progress(0, 0, "start", message=_say(start, config))
    if crf is not None and not config.resume:
        yield Progress(0, 0, "start", message=f"the CRF starts from {describe(settings_of(crf))}")
    if given is not None and given.crf and crf is None:
        way_out = "add a stage crf_rnn to keep training it"
        yield Progress(0, 0, "start", message=f"the CRF that {config.init} carries is left out; {way_out}")
    network = network.to(fabric.device)
    class_weights = None
    if any(stage.class_weights == "median_frequency" for stage in config.stages.values()):
        assert isinstance(train_set, Samples)  # the task has refused others
        class_weights = yield from frequency_weights(train_set)
    plans = plan_stages(config, network, class_weights, crf, task=task)
    if fabric.is_global_zero:
        folder.begin(to_toml(config, comment="\n".join(reasons)))
        splits = {config.train_split: train_set}
        if val_set is not None:
            splits[config.val_split] = val_set
        init = start.file if start else None
        yield from _keep_provenance(folder, (yield from provenance_of(config, fabric, splits, init=init)))
    position = state.position if state else Position(plans[0].name, 0)
    with listen() as wish, _log(config, folder, position, fabric) as log:
        bench = Bench(config, fabric, network, train_set, val_set, folder, wish, log, crf)
        with lost_processes_told(fabric, folder.last):
            position = yield from _run_stages(bench, plans, position, state)
    return TrainResult(folder.model, dict(position.scores))


def _run_stages(
    bench: Bench, plans: Sequence[StagePlan], position: Position, state: State | None
) -> Job[Position]:
    """The stages that do not lie behind the position."""
    for plan in plans:
        if _is_done(plan, position):
            if bench.fabric.is_global_zero and not bench.folder.stage_model(plan.name).exists():
                bench.folder.finish_stage(plan.name)  # it was killed between its last two lines
            continue
        if position.stage != plan.name:
            position, state = Position(plan.name, 0, position.rows, position.scores), None
        position = yield from StageRun(bench, plan, position, state).run()
    return position


def _keep_provenance(folder: RunFolder, provenance: Provenance) -> Job[None]:
    """Have it beside the recipe; say what is another than when the run began, if it goes on."""
    before = folder.keep_provenance(provenance)
    if before is not None and (changed := differences(before, provenance)):
        said = "; ".join(changed)
        yield Progress(
            0, 0, "resume", message=f"the run goes on, but not as if it had never stopped, since {said}"
        )


def _samples(config: TrainConfig, split: str, known: LabelSet | None) -> AnySamples:
    """A split, in the order of the classes that the run or its starting weights know, if it has the same."""
    assert config.data is not None
    samples = open_samples(config.data, split, task=config.task)
    if isinstance(samples, MeasuredSamples | Recordings):  # their outputs have one order
        return samples
    if known is not None and config.resume:
        return in_order_of(samples, known)
    ordered = ordered_like(samples.label_set, known) if known is not None else None
    return samples if ordered is None else in_order_of(samples, ordered)


def _start_network(
    config: TrainConfig, train_set: AnySamples, state: State | None, task: Task
) -> tuple[DenseNetwork, Start | None]:
    """The network with the weights it starts from: the seed's, the given file's, or the resumed run's."""
    torch.manual_seed(config.seed)
    network = build_network(
        config.network,
        num_classes=task.meaning.num_outputs,
        backbone=config.backbone,
        in_channels=task.in_channels,
        context_module=config.context_module,
        noise=config.noise,
    )
    if (rate := sound_rate_of(train_set)) and isinstance(network.normalization, Companding):
        network.use_normalization_(replace(network.normalization, sample_rate=rate))
    start = None
    if state is not None:
        tensors = state.part("network")
        if network.misfits(tensors):
            raise CheckpointError(
                f"the state in {config.output} does not fit {config.network} with {network.num_classes} "
                "classes, as its recipe says; its files are of different runs: start a new one"
            )
        network.load_state_dict(tensors)
        network.use_normalization_(state.normalization)
    elif (path := starting_weights(config.init, network)) is not None:
        start = initialize_(network, path, label_set=train_set.label_set)
    return network.to(memory_format=network.memory_format), start  # type: ignore[call-overload]


def sound_rate_of(samples: AnySamples) -> int:
    """Hz of sounds; 0 of anything else."""
    if isinstance(samples, Recordings):
        return samples.voice.sample_rate
    mask = samples.pairs[0].mask if isinstance(samples, Dataset) and len(samples) else None
    return mask.sample_rate if isinstance(mask, TrackMask) else 0


def _refuse_other_axes(network: DenseNetwork, train_set: AnySamples, config: TrainConfig) -> None:
    """Nothing, if the network takes what the data set holds."""
    if isinstance(train_set, Recordings):
        return  # the task has looked
    axes = 2 if isinstance(train_set, MeasuredSamples) else train_set[0].labels.ndim
    if axes != network.num_axes:
        kinds = {1: "sounds", 2: "images", 3: "volumes"}
        raise ConfigError(
            f"{config.network} labels {kinds[network.num_axes]}, and {config.data} holds {kinds[axes]}; give "
            f"a --network for {kinds[axes]} (atrous models), or leave it out to have one picked"
        )


def _say(start: Start, config: TrainConfig) -> str:
    """What the given weights brought, and what starts anew."""
    fresh = ", ".join(dict.fromkeys(name.rsplit(".", 1)[0] for name in start.fresh))
    rest = f"these layers start fresh: {fresh}" if fresh else "nothing starts fresh"
    source = config.init or f"the package {PACKAGE} (ImageNet)"
    return f"{source} brings {len(start.loaded)} tensors; {rest}"


def frequency_weights(train_set: Samples) -> Job[Tensor]:
    """Median-frequency weights of the labels of all training samples."""
    num_classes = train_set.label_set.num_classes
    pixel_counts = np.zeros((len(train_set), num_classes), np.int64)
    for index in range(len(train_set)):
        pixel_counts[index] = np.bincount(train_set[index].labels.ravel(), minlength=256)[:num_classes]
        yield Progress(index + 1, len(train_set), "class frequencies")
    return median_frequency_weights(pixel_counts)


def _log(
    config: TrainConfig, folder: RunFolder, position: Position, fabric: Fabric
) -> AbstractContextManager[Callable[[Row], None]]:
    """Where rows of the log go besides log.csv: to TensorBoard on request, from the first process."""
    if config.tensorboard and fabric.is_global_zero:
        return tensorboard_events(folder.events, last_step=position.rows[-1].step if position.rows else 0)
    return nullcontext(lambda _: None)


def _is_done(plan: StagePlan, position: Position) -> bool:
    """Whether the stage lies behind the position."""
    if plan.name == position.stage:
        return position.step >= plan.stage.num_steps and not position.unvalidated
    return STAGES.index(plan.name) < STAGES.index(position.stage)
