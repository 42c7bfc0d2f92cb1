"""What each stage of a run trains and how; worked out before the first update, so mistakes show at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from atrous.crf.rnn import CRFRNN
from atrous.data.labels import LabelSet
from atrous.errors import ConfigError
from atrous.jobs.auxiliary_training import WithAuxiliary
from atrous.jobs.crf_training import RefinedNetwork
from atrous.jobs.segmentation_task import Segmentation
from atrous.jobs.sound_examples import crop_length_of
from atrous.jobs.task import Loss, Task
from atrous.jobs.train import STAGES, TrainConfig
from atrous.jobs.training_data import augmentation_of
from atrous.jobs.volume_examples import volume_augmentation_of
from atrous.models.contract import AuxiliaryNetwork, DenseNetwork, LogitGeometry
from atrous.models.dilated_net import DilatedNet
from atrous.ops.resample import upsample_logits
from atrous.training.loop import Rule
from atrous.training.optimizers import build_optimizer
from atrous.training.schedule import learning_rate_factor
from atrous.training.settings import Stage

_CROPS = {1: crop_length_of, 2: augmentation_of, 3: volume_augmentation_of}


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage of a run.

    Attributes:
        name: front_end, context, joint or crf_rnn.
        stage: Its settings.
        first_step: Steps of the run before it.
        data_seed: Of the order of its crops and their augmentation.
        subject: The network that it leaves behind and validates.
        module: The part of it that it trains.
        new_layers: Prefixes of the module's parameters that were not pretrained.
        rule: How an update is made.
        crf: What refines the subject's logits in this stage; None in all but the last.
    """

    name: str
    stage: Stage
    first_step: int
    data_seed: int
    subject: DenseNetwork
    module: nn.Module
    new_layers: Sequence[str]
    rule: Rule
    crf: CRFRNN | None = None


def plan_stages(
    config: TrainConfig,
    network: DenseNetwork,
    class_weights: Tensor | None,
    crf: CRFRNN | None = None,
    *,
    task: Task | None = None,
) -> list[StagePlan]:
    """The stages that the recipe asks for, in order; the CRF is for the last of them.

    Args:
        config: Of the run.
        network: What they train.
        class_weights: For the losses that take them.
        crf: For the last stage.
        task: It has the losses; that of unnamed classes unless given.

    Raises:
        ConfigError: If there is none, or one does not fit the network or the task.
    """
    task = task or Segmentation(LabelSet.unnamed(network.num_classes))
    if not config.stages:
        raise ConfigError("no stage has any steps; set num_steps of front_end, context, joint or crf_rnn")
    plans: list[StagePlan] = []
    for name in config.stages:
        first_step = sum(earlier.stage.num_steps for earlier in plans)
        try:
            own = crf if name == "crf_rnn" else None
            plans.append(_plan(name, config, _parts(network, name, own), first_step, task, class_weights))
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
    return plans


def _plan(
    name: str,
    config: TrainConfig,
    parts: tuple[DenseNetwork, nn.Module],
    first_step: int,
    task: Task,
    class_weights: Tensor | None,
) -> StagePlan:
    subject, module = parts
    stage = _without_idle_heads(config.stages[name], module)
    if isinstance(module, AuxiliaryNetwork) and stage.auxiliary_weight:
        module = WithAuxiliary(module)
    geometry = _geometry(subject, module)
    if stage.loss_stride > geometry.output_stride:
        raise ConfigError(
            f"loss_stride {stage.loss_stride} is beyond the output stride of what is trained; at most "
            f"{geometry.output_stride}"
        )
    if stage.batch_size == 1 and geometry.is_global and _has_batch_norm(module):
        raise ConfigError(
            "batch_size 1 leaves batch normalization one value a channel where the network pools the image; "
            "give at least 2"
        )
    whole = isinstance(module, DenseNetwork | RefinedNetwork | WithAuxiliary)
    new_layers = module.new_layers() if whole else ("",)
    build_optimizer(module, stage, new_layers=new_layers)  # refuses prefixes that match nothing
    _CROPS[subject.num_axes](stage)  # and this what cannot be
    loss = task.build_loss(stage, class_weights)
    objective = _objective(stage, geometry, loss)
    if isinstance(module, WithAuxiliary):
        beside = _objective(stage, module.network.auxiliary_geometry, loss)
        objective = _joint_objective(objective, beside, weight=stage.auxiliary_weight)
    rule = Rule(objective, _schedule(stage), stage.accumulate, config.seed, task.count_valid)
    return StagePlan(
        name=name,
        stage=stage,
        first_step=first_step,
        data_seed=config.seed * len(STAGES) + STAGES.index(name),
        subject=subject,
        module=module,
        new_layers=new_layers,
        rule=rule,
        crf=module.crf if isinstance(module, RefinedNetwork) else None,
    )


def _parts(network: DenseNetwork, stage: str, crf: CRFRNN | None) -> tuple[DenseNetwork, nn.Module]:
    """What a stage leaves behind and validates, and what it trains: a part of it, or it and the CRF."""
    if crf is not None:
        return network, RefinedNetwork(network, crf)
    if isinstance(network, DilatedNet) and stage in ("front_end", "context"):
        return (network.front_end, network.front_end) if stage == "front_end" else (network, network.context)
    if stage == "context":
        raise ConfigError(
            "there is no context module to train; set context_module to basic or large, or num_steps to 0"
        )
    return network, network


def _geometry(subject: DenseNetwork, module: nn.Module) -> LogitGeometry:
    """Where the module's logits lie; a context module's are the front end's, without any upsampling."""
    if isinstance(module, RefinedNetwork | WithAuxiliary):
        return module.geometry
    if isinstance(subject, DilatedNet) and module is subject.context:
        return subject.front_end.geometry
    return subject.geometry


def _schedule(stage: Stage) -> Callable[[int], float]:
    return lambda step: learning_rate_factor(
        step,
        num_steps=stage.num_steps,
        schedule=stage.schedule,
        warmup_steps=stage.warmup_steps,
        milestones=stage.milestones,
    )


def _objective(stage: Stage, geometry: LogitGeometry, loss: Loss) -> Loss:
    """The stage's loss where its targets lie: on its own cells, or on outputs upsampled to their grid."""
    stride, center = geometry.output_stride / stage.loss_stride, geometry.center / stage.loss_stride

    def objective(outputs: Tensor, targets: Tensor) -> Tensor:
        if stage.loss_stride != geometry.output_stride:
            outputs = upsample_logits(outputs, targets.shape[-2:], stride=stride, center=center)
        return loss(outputs, targets)

    return objective


def _joint_objective(
    own: Callable[[Tensor, Tensor], Tensor], beside: Callable[[Tensor, Tensor], Tensor], *, weight: float
) -> Callable[[tuple[Tensor, Tensor], Tensor], Tensor]:
    """The network's own loss and that of its auxiliary head."""
    return lambda outputs, labels: own(outputs[0], labels) + weight * beside(outputs[1], labels)


def _without_idle_heads(stage: Stage, module: nn.Module) -> Stage:
    """The stage with auxiliary heads frozen that it does not train; many processes wait for all others."""
    inside = module.modules() if not stage.auxiliary_weight else list(module.modules())[1:]
    heads = [part.auxiliary_layers() for part in inside if isinstance(part, AuxiliaryNetwork)]
    return replace(stage, frozen=(*stage.frozen, *(prefix for head in heads for prefix in head)))


def _has_batch_norm(module: nn.Module) -> bool:
    """Whether a batch normalization is to be trained."""
    kinds = nn.modules.batchnorm._BatchNorm
    return any(isinstance(layer, kinds) for layer in module.modules())
