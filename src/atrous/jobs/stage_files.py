"""What a stage under way leaves on disk, by its first process, and what all stages of a run share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightning_fabric import Fabric
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import store_crf, with_crf
from atrous.data.samples import AnySamples
from atrous.jobs.interrupt import Wish
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.run_state import Position, Row, State
from atrous.jobs.stage_plan import StagePlan
from atrous.jobs.task import Task
from atrous.jobs.tasks import meaning_of_samples, task_of
from atrous.jobs.train import TrainConfig
from atrous.models.catalog import FRONT_ENDS, to_checkpoint
from atrous.models.contract import DenseNetwork
from atrous.training.loop import Update
from atrous.training.optimizers import optimizer_tensors


@dataclass(frozen=True, slots=True)
class Bench:
    """What all stages of a run share; `log` is told every row of the log, `crf` is for the last stage."""

    config: TrainConfig
    fabric: Fabric
    network: DenseNetwork
    train_set: AnySamples
    val_set: AnySamples | None
    folder: RunFolder
    wish: Wish
    log: Callable[[Row], None]
    crf: CRFRNN | None = None

    @property
    def task(self) -> Task:
        """That of the data."""
        return task_of(meaning_of_samples(self.train_set))


def row_of(updates: Sequence[Update], plan: StagePlan, *, num_processes: int) -> Row:
    """A row of the log: means of the updates since the last one."""
    seconds = sum(update.seconds for update in updates)
    return Row(
        step=plan.first_step + updates[-1].step,
        stage=plan.name,
        loss=sum(update.loss for update in updates) / len(updates),
        learning_rate=plan.stage.learning_rate * updates[-1].learning_rate_factor,
        images_per_second=sum(update.num_images for update in updates) * num_processes / seconds,
        waiting=sum(update.waiting for update in updates) / seconds,
    )


def save_model(bench: Bench, plan: StagePlan, position: Position) -> None:
    """Write what the stage leaves behind as model.safetensors.

    Raises:
        OutputError: If it cannot be written.
    """
    if not bench.fabric.is_global_zero:
        return
    config, whole = bench.config, plan.subject is bench.network
    checkpoint = to_checkpoint(
        plan.subject,
        name=config.network if whole else FRONT_ENDS.get(config.network, config.network),
        backbone=config.backbone,
        context_module=config.context_module if whole else "none",
        labels=bench.task.meaning.to_dict(),
        progress={
            "stage": plan.name,
            "step": position.step,
            "seed": config.seed,
            bench.task.column: best.figure if (best := position.best) else None,
        },
    )
    bench.folder.save_model(with_crf(checkpoint, plan.crf))


def save_state(
    bench: Bench, position: Position, optimizer: Optimizer, average: AveragedModel | None, *, draw: bool
) -> None:
    """Write the state for --resume, the log and maybe the curves.

    Raises:
        OutputError: If one of them cannot be written.
    """
    if not bench.fabric.is_global_zero:
        return
    tensors = {f"network.{name}": value for name, value in bench.network.state_dict().items()}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(optimizer).items()}
    if average is not None:
        tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    settings, learned = store_crf(bench.crf)
    tensors |= {f"crf.{name}": value for name, value in learned.items()}
    labels, normalization = bench.train_set.label_set, bench.network.normalization
    bench.folder.save_state(State(tensors, position, normalization, labels, settings))
    bench.folder.write_log(position.rows)
    if draw and position.rows:
        bench.folder.draw_curves()
