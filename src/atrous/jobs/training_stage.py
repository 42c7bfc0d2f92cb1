"""One stage of a training run: the module it trains, its updates, validations and saves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from atrous.data.samples import Samples
from atrous.errors import ConfigError, StoppedError
from atrous.evaluation.metrics import Scores
from atrous.jobs.cached_scores import ScoreCache, can_cache
from atrous.jobs.interrupt import Wish
from atrous.jobs.progress import Job, Progress
from atrous.jobs.run_folder import Position, Row, RunFolder
from atrous.jobs.train import STAGES, TrainConfig
from atrous.jobs.training_data import batch_numbers, image_examples, score_examples
from atrous.jobs.validation import validate
from atrous.models.catalog import FRONT_ENDS, to_checkpoint
from atrous.models.contract import DenseNetwork, LogitGeometry
from atrous.models.dilated_net import DilatedNet
from atrous.ops.resample import upsample_logits
from atrous.training.loop import Example, Rule, Trainee, Update, fit
from atrous.training.losses import build_loss
from atrous.training.optimizers import build_optimizer, optimizer_tensors, restore_optimizer_
from atrous.training.schedule import learning_rate_factor
from atrous.training.settings import Stage

LOG_EVERY = 10  # updates


@dataclass(frozen=True, slots=True)
class Bench:
    """What all stages of a run share."""

    config: TrainConfig
    fabric: Fabric
    network: DenseNetwork
    train_set: Samples
    val_set: Samples | None
    folder: RunFolder
    wish: Wish
    class_weights: Tensor | None = None


class StageRun:
    """A stage under way.

    Args:
        bench: What all stages share.
        name: front_end, context or joint.
        position: Where the stage stands; step 0 at its start.
        tensors: State to resume from; empty at the start.
    """

    def __init__(self, bench: Bench, name: str, position: Position, tensors: dict[str, Tensor]) -> None:
        self.bench = bench
        self.name = name
        self.stage = bench.config.stages[name]
        self.position = position
        self.scores: Scores | None = None
        self.cache: ScoreCache | None = None
        self.subject, self.module = _parts(bench.network, name)
        _check(self.stage, self.subject)
        self.optimizer = build_optimizer(self.module, self.stage, new_layers=_new_layers(self.module))
        self.average = None
        if self.stage.ema_decay:
            averaging = get_ema_multi_avg_fn(self.stage.ema_decay)
            self.average = AveragedModel(self.module, multi_avg_fn=averaging)
        if tensors:
            restore_optimizer_(self.optimizer, under("optimizer.", tensors))
            if self.average is not None:
                self.average.load_state_dict(under("average.", tensors))

    def run(self) -> Job[Scores | None]:
        """Train from where the position says to the end of the stage; returns the last validation.

        Raises:
            StoppedError: If somebody asked to stop; the state is saved.
        """
        yield from self._fill_cache()
        recent: list[Update] = []
        for update in self._updates():
            recent.append(update)
            self.position = replace(self.position, step=update.step)
            finished = update.step == self.stage.num_steps
            if finished or update.step % LOG_EVERY == 0:
                self._log(recent)
                recent = []
            if finished or _due(self.bench.config.validate_every, update.step):
                yield from self._validate()
            if finished or self.bench.wish.stop or _due(self.bench.config.save_every, update.step):
                self._save()
            if self.bench.wish.stop and not finished:
                raise StoppedError(
                    f"stopped after step {update.step} of {self.name}, all saved; add --resume to go on"
                )
            yield self._progress(update)
        self.bench.folder.finish_stage(self.name)
        return self.scores

    def _updates(self) -> Iterator[Update]:
        """Updates from the position on, on data that fits the stage."""
        bench, stage = self.bench, self.stage
        module, optimizer = bench.fabric.setup(self.module, self.optimizer)
        self.module.train()
        examples = self._examples()
        rule = Rule(_objective(stage, self.subject.geometry, bench.class_weights), _schedule(stage),
                    accumulate=stage.accumulate, seed=bench.config.seed)  # fmt: skip
        steps = range(self.position.step, stage.num_steps)
        yield from fit(
            Trainee(module, optimizer, self.average), examples, fabric=bench.fabric, rule=rule, steps=steps
        )

    def _examples(self) -> Iterator[Example]:
        """Crops of images; for the context stage, of the front end's scores."""
        bench, stage, start = self.bench, self.stage, self.position.step
        seed = bench.config.seed * len(STAGES) + STAGES.index(self.name)
        if self.cache is not None:
            return self.cache.examples(stage, numbers=batch_numbers(stage, start, bench.fabric), seed=seed)
        if self.name == "context" and isinstance(self.subject, DilatedNet):
            front_end = self.subject.front_end
            return score_examples(
                bench.train_set, front_end, stage, fabric=bench.fabric, seed=seed, start=start
            )
        return image_examples(
            bench.train_set, self.subject, stage, fabric=bench.fabric, seed=seed, start=start
        )

    def _fill_cache(self) -> Job[None]:
        """Have the front end's scores on disk before the context module needs them; the first process writes."""
        bench, subject = self.bench, self.subject
        if self.name != "context" or not isinstance(subject, DilatedNet) or not can_cache(self.stage):
            return
        self.cache = ScoreCache.of(subject.front_end, bench.train_set, bench.folder.path / "scores")
        if bench.fabric.global_rank == 0:
            device, precision = str(bench.fabric.device), bench.config.precision
            yield from self.cache.fill(
                subject.front_end, mirror=self.stage.mirror, device=device, precision=precision
            )
        bench.fabric.barrier()

    def _log(self, recent: Sequence[Update]) -> None:
        """Add a row with the means of the recent updates."""
        seconds = sum(update.seconds for update in recent)
        row = Row(
            step=recent[-1].step,
            stage=self.name,
            loss=sum(update.loss for update in recent) / len(recent),
            learning_rate=self.stage.learning_rate * recent[-1].learning_rate_factor,
            images_per_second=sum(update.num_images for update in recent)
            * self.bench.fabric.world_size
            / seconds,
            waiting=sum(update.waiting for update in recent) / seconds,
        )
        self.position = replace(self.position, rows=(*self.position.rows, row))

    def _validate(self) -> Job[None]:
        """Score the network as it is, and keep it if it is the best of this stage."""
        bench, best = self.bench, self.position.best_mean_iou
        with _averaged(self.module, self.average):
            if bench.val_set is not None:
                self.scores = yield from validate(
                    self.subject, bench.val_set, fabric=bench.fabric, precision=bench.config.precision
                )
                mean_iou = self.scores.mean_iou
                rows = self.position.rows
                if rows:
                    rows = (*rows[:-1], replace(rows[-1], val_mean_iou=mean_iou))
                self.position = replace(self.position, best_mean_iou=max(best, mean_iou), rows=rows)
                yield self._message(f"mean IoU {100 * mean_iou:.1f} on {bench.config.val_split}")
            if bench.val_set is None or self.position.best_mean_iou > best:
                self._save_model()
        self.module.train()

    def _save_model(self) -> None:
        """Write the subject as model.safetensors; only the first process writes."""
        bench, config = self.bench, self.bench.config
        if bench.fabric.global_rank:
            return
        whole = self.subject is bench.network
        name = config.network if whole else FRONT_ENDS.get(config.network, config.network)
        checkpoint = to_checkpoint(
            self.subject,
            name=name,
            context_module=config.context_module if whole else "none",
            labels=bench.train_set.label_set.to_dict(),
            progress={
                "stage": self.name,
                "step": self.position.step,
                "seed": config.seed,
                "val_mean_iou": None if self.scores is None else self.scores.mean_iou,
            },
        )
        bench.folder.save_model(checkpoint)

    def _save(self) -> None:
        """Write the state for --resume, the log and the curves; only the first process writes."""
        if self.bench.fabric.global_rank:
            return
        tensors = {f"network.{name}": value for name, value in self.bench.network.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(self.optimizer).items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        self.bench.folder.save_state(tensors, self.position)
        self.bench.folder.write_log(self.position.rows)

    def _progress(self, update: Update) -> Progress:
        rate = update.num_images * self.bench.fabric.world_size / update.seconds
        values = {"loss": f"{update.loss:.3f}", "images/s": f"{rate:.1f}"}
        if self.position.best_mean_iou >= 0:
            values["val mean IoU"] = f"{100 * self.position.best_mean_iou:.1f}"
        return Progress(update.step, self.stage.num_steps, self.name, values)

    def _message(self, text: str) -> Progress:
        step = self.position.step
        return Progress(step, self.stage.num_steps, self.name, message=f"{self.name}, step {step}: {text}")


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name starts with the prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _parts(network: DenseNetwork, stage: str) -> tuple[DenseNetwork, nn.Module]:
    """What a stage leaves behind and validates, and the part of it that it trains."""
    if stage == "joint":
        return network, network
    if isinstance(network, DilatedNet):
        return (network.front_end, network.front_end) if stage == "front_end" else (network, network.context)
    if stage == "context":
        raise ConfigError(
            "the context stage needs a context module; set context_module to basic or large, or num_steps to 0"
        )
    return network, network


def _new_layers(module: nn.Module) -> Sequence[str]:
    return module.new_layers() if isinstance(module, DenseNetwork) else ()


def _check(stage: Stage, subject: DenseNetwork) -> None:
    stride = subject.output_stride
    if stage.loss_stride > stride:
        raise ConfigError(
            f"loss_stride {stage.loss_stride} is beyond the network's output stride; at most {stride}"
        )


def _due(every: int, step: int) -> bool:
    return every > 0 and step % every == 0


def _schedule(stage: Stage) -> Callable[[int], float]:
    return lambda step: learning_rate_factor(
        step, num_steps=stage.num_steps, schedule=stage.schedule, warmup_steps=stage.warmup_steps
    )


def _objective(
    stage: Stage, geometry: LogitGeometry, class_weights: Tensor | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """The stage's loss where its labels lie: on its own cells, or on logits upsampled to the labels' grid."""
    loss = build_loss(stage.loss, class_weights=class_weights if stage.class_weights != "none" else None)
    stride, center = geometry.output_stride / stage.loss_stride, geometry.center / stage.loss_stride

    def objective(logits: Tensor, labels: Tensor) -> Tensor:
        if stage.loss_stride < geometry.output_stride:
            logits = upsample_logits(logits, labels.shape[1:], stride=stride, center=center)
        return loss(logits, labels)

    return objective


@contextmanager
def _averaged(module: nn.Module, average: AveragedModel | None) -> Iterator[None]:
    """The module with its averaged weights for a while."""
    if average is None:
        yield
        return
    own = {name: value.detach().clone() for name, value in module.state_dict().items()}
    module.load_state_dict(average.module.state_dict())
    try:
        yield
    finally:
        module.load_state_dict(own)
