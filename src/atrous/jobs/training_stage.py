"""One stage of a training run under way: its updates, validations and saves."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from signal import SIGTERM

import torch
from lightning_fabric import Fabric

from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import store_crf, with_crf
from atrous.errors import StoppedError
from atrous.jobs.cached_scores import ScoreCache, can_cache
from atrous.jobs.interrupt import Wish
from atrous.jobs.progress import Job, Progress
from atrous.jobs.run_folder import Position, Row, RunFolder, State
from atrous.jobs.stage_examples import stage_examples
from atrous.jobs.stage_plan import StagePlan
from atrous.jobs.task import AnySamples, AnyScores, Task
from atrous.jobs.tasks import meaning_of_samples, task_of
from atrous.jobs.train import TrainConfig
from atrous.jobs.validation import validate
from atrous.models.catalog import FRONT_ENDS, to_checkpoint
from atrous.models.contract import DenseNetwork
from atrous.models.dilated_net import DilatedNet
from atrous.training.average import adopt_, averaged, build_average
from atrous.training.loop import Trainee, Update, fit, refuse_broken_weights
from atrous.training.optimizers import build_optimizer, optimizer_tensors, restore_optimizer_, train_

LOG_EVERY = 10  # updates


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


class StageRun:
    """A stage under way.

    Args:
        bench: What all stages share.
        plan: What the stage trains and how.
        position: Where it stands; step 0 at its start.
        state: To resume from; None at the start.
    """

    def __init__(self, bench: Bench, plan: StagePlan, position: Position, state: State | None) -> None:
        self.bench = bench
        self.plan = plan
        self.position = position
        self.cache: ScoreCache | None = None
        self.optimizer = build_optimizer(plan.module, plan.stage, new_layers=plan.new_layers)
        decay = plan.stage.ema_decay
        self.average = build_average(plan.module, decay=decay) if decay else None
        if state is not None:
            restore_optimizer_(self.optimizer, state.part("optimizer"))
            if self.average is not None:
                self.average.load_state_dict(state.part("average"))

    def run(self) -> Job[Position]:
        """Train from where the position says to the end of the stage; returns the position there.

        Averaged weights, where the stage keeps them, become the network's at the end: the next stage, and
        whoever resumes there, goes on from what was validated.

        Raises:
            StoppedError: If somebody asked to stop; the state is saved.
        """
        if self.position.step == 0:  # a run can go on from its first second, and a full disk shows at once
            self._save(draw=False)
        yield from self._fill_cache()
        recent: list[Update] = []
        with closing(self._updates()) as updates:
            for update in updates:
                recent.append(update)
                signal = self._signal()
                finished = update.step == self.plan.stage.num_steps
                self.position = replace(self.position, step=update.step)
                saves = finished or signal or _due(self.bench.config.save_every, update.step)
                validates = finished or _due(self.bench.config.validate_every, update.step)
                if saves or validates:
                    refuse_broken_weights(self.plan.module, f"step {update.step} of {self.plan.name}")
                if finished and self.average is not None:
                    adopt_(self.plan.module, self.average)
                scores = None
                if validates:
                    scores = yield from self._validate()
                if validates or update.step % LOG_EVERY == 0:
                    self._log(recent, scores)
                    recent = []
                if saves or validates:
                    self._save(draw=validates or signal != 0)
                if signal and not finished:
                    raise self._stopped(signal)
                yield self._progress(update)
        if self.bench.fabric.is_global_zero:
            self.bench.folder.finish_stage(self.plan.name)
        return self.position

    def _updates(self) -> Generator[Update, None, None]:
        """Updates from the position on, on data that fits the stage."""
        fabric, plan = self.bench.fabric, self.plan
        module, optimizer = fabric.setup(plan.module, self.optimizer)
        plan.subject.eval()
        train_(plan.module)
        steps = range(self.position.step, plan.stage.num_steps)
        trainee = Trainee(module, optimizer, self.average)
        examples = stage_examples(
            self.bench.train_set, plan, cache=self.cache, fabric=fabric, start=self.position.step
        )
        yield from fit(trainee, examples, fabric=fabric, rule=plan.rule, steps=steps)

    def _fill_cache(self) -> Job[None]:
        """Have the front end's scores on disk before the context module needs them."""
        bench, stage, subject = self.bench, self.plan.stage, self.plan.subject
        if self.plan.name != "context" or not isinstance(subject, DilatedNet) or not can_cache(stage):
            return
        self.cache = ScoreCache.of(subject.front_end, bench.train_set, bench.folder.scores)  # type: ignore[arg-type]
        if bench.fabric.is_global_zero:
            device, precision = str(bench.fabric.device), bench.config.precision
            for progress in self.cache.fill(
                subject.front_end, mirror=stage.mirror, device=device, precision=precision
            ):
                yield progress
                if bench.wish.stop:
                    break
        bench.fabric.barrier()
        if signal := self._signal():
            raise self._stopped(signal)

    def _validate(self) -> Job[AnyScores | None]:
        """Score the network, averaged where the stage wants that, and keep the best of the stage."""
        bench, position = self.bench, self.position
        with averaged(self.plan.module, self.average):
            if bench.val_set is None:
                self._save_model()
                return None
            scores = yield from validate(
                self.plan.subject,
                bench.val_set,
                fabric=bench.fabric,
                precision=bench.config.precision,
                crf=self.plan.crf,
            )
            best = position.best
            if best is None or scores.goodness > best.goodness:
                self.position = replace(position, scores={**position.scores, self.plan.name: scores})
                self._save_model()
        said = f"{' '.join(scores.headline)} on {bench.config.val_split}"
        message = f"{self.plan.name}, step {position.step}: {said}"
        yield Progress(position.step, self.plan.stage.num_steps, self.plan.name, message=message)
        return scores

    def _log(self, recent: Sequence[Update], scores: AnyScores | None) -> None:
        """Add a row with the means of the recent updates."""
        seconds = sum(update.seconds for update in recent)
        num_images = sum(update.num_images for update in recent) * self.bench.fabric.world_size
        row = Row(
            step=self.plan.first_step + recent[-1].step,
            stage=self.plan.name,
            loss=sum(update.loss for update in recent) / len(recent),
            learning_rate=self.plan.stage.learning_rate * recent[-1].learning_rate_factor,
            images_per_second=num_images / seconds,
            waiting=sum(update.waiting for update in recent) / seconds,
            **({self.bench.task.column: scores.figure} if scores else {}),
        )
        self.position = replace(self.position, rows=(*self.position.rows, row))
        self.bench.log(row)

    def _save_model(self) -> None:
        """Write the subject as model.safetensors; only the first process writes."""
        bench, config, subject = self.bench, self.bench.config, self.plan.subject
        if not bench.fabric.is_global_zero:
            return
        whole = subject is bench.network
        checkpoint = to_checkpoint(
            subject,
            name=config.network if whole else FRONT_ENDS.get(config.network, config.network),
            backbone=config.backbone,
            context_module=config.context_module if whole else "none",
            labels=bench.task.meaning.to_dict(),
            progress={
                "stage": self.plan.name,
                "step": self.position.step,
                "seed": config.seed,
                bench.task.column: best.figure if (best := self.position.best) else None,
            },
        )
        bench.folder.save_model(with_crf(checkpoint, self.plan.crf))

    def _save(self, *, draw: bool) -> None:
        """Write the state for --resume, the log and maybe the curves; only the first process writes."""
        if not self.bench.fabric.is_global_zero:
            return
        tensors = {f"network.{name}": value for name, value in self.bench.network.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(self.optimizer).items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        settings, learned = store_crf(self.bench.crf)
        tensors |= {f"crf.{name}": value for name, value in learned.items()}
        labels, normalization = self.bench.train_set.label_set, self.bench.network.normalization
        self.bench.folder.save_state(State(tensors, self.position, normalization, labels, settings))
        self.bench.folder.write_log(self.position.rows)
        if draw and self.position.rows:
            self.bench.folder.draw_curves()

    def _signal(self) -> int:
        """The signal by which any process was asked to stop, or 0; all processes hear the same."""
        own = torch.tensor(self.bench.wish.signal)
        return int(self.bench.fabric.all_reduce(own, reduce_op="max"))  # type: ignore[arg-type]

    def _stopped(self, signal: int) -> StoppedError:
        where = f"after step {self.position.step} of {self.plan.name}"
        return StoppedError(
            f"stopped {where}, all saved; add --resume to go on",
            exit_code=0 if signal == SIGTERM else 128 + signal,
        )

    def _progress(self, update: Update) -> Progress:
        rate = update.num_images * self.bench.fabric.world_size / update.seconds
        unit = "images/s" if self.plan.subject.num_axes == 2 else "crops/s"
        values = {"loss": f"{update.loss:.3f}", unit: f"{rate:.1f}"}
        if best := self.position.best:
            values[f"val {best.headline[0]}"] = best.headline[1]
        return Progress(update.step, self.plan.stage.num_steps, self.plan.name, values)


def _due(every: int, step: int) -> bool:
    return every > 0 and step % every == 0
