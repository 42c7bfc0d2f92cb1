"""One stage of a training run under way: its updates, validations and saves."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from signal import SIGTERM

import torch

from atrous.errors import DataError, StoppedError, TrainingError
from atrous.jobs.cached_scores import ScoreCache, can_cache
from atrous.jobs.progress import Job, Progress
from atrous.jobs.run_state import Position, State
from atrous.jobs.stage_examples import samples_of_update, stage_examples
from atrous.jobs.stage_files import Bench, row_of, save_model, save_state
from atrous.jobs.stage_plan import StagePlan
from atrous.jobs.validation import validate
from atrous.models.dilated_net import DilatedNet
from atrous.training.average import adopt_, averaged, build_average
from atrous.training.loop import Trainee, Update, fit, refuse_broken_weights
from atrous.training.optimizers import build_optimizer, restore_optimizer_, train_

LOG_EVERY = 10  # updates


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
        self.recent: list[Update] = []  # since the last row of the log
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
            DataError: If a file of the data vanished or broke; the state is saved.
            StoppedError: If somebody asked to stop; the state is saved.
            TrainingError: If loss or weights stopped being finite; what was saved before stays.
        """
        try:
            yield from self._run()
        except DataError as error:
            self._save(draw=False)
            saved = f"step {self.position.step} of {self.plan.name} is saved"
            raise DataError(f"{error}; {saved}: mend the data and add --resume to go on") from error
        if self.bench.fabric.is_global_zero:
            self.bench.folder.finish_stage(self.plan.name)
        return self.position

    def _run(self) -> Job[None]:
        if self.position.step == 0:  # a run can go on from its first second, and a full disk shows at once
            self._save(draw=False)
        yield from self._fill_cache()
        if self.position.unvalidated:  # it was stopped in the middle of that
            yield from self._validate()
        with closing(self._updates()) as updates:
            for update in updates:
                signal = self._signal()
                yield from self._keep(update, asked_to_stop=signal != 0)
                if signal and update.step < self.plan.stage.num_steps:
                    raise self._stopped(signal)
                yield self._progress(update)

    def _keep(self, update: Update, *, asked_to_stop: bool) -> Job[None]:
        """Log, validate and save after an update, where it is time to."""
        step, config = update.step, self.bench.config
        finished = step == self.plan.stage.num_steps
        validates = finished or _due(config.validate_every, step)
        saves = validates or asked_to_stop or _due(config.save_every, step)
        self.recent.append(update)
        self.position = replace(self.position, step=step, unvalidated=validates)
        if saves:
            refuse_broken_weights(self.plan.module, f"step {step} of {self.plan.name}")
        if finished and self.average is not None:
            adopt_(self.plan.module, self.average)
        if validates or step % LOG_EVERY == 0:
            row = row_of(self.recent, self.plan, num_processes=self.bench.fabric.world_size)
            self.position = replace(self.position, rows=(*self.position.rows, row))
            self.recent = []
            if not validates:  # its score comes with it
                self.bench.log(row)
        if validates:
            yield from self._validate()
        elif saves:
            self._save(draw=asked_to_stop)

    def _updates(self) -> Generator[Update, None, None]:
        """Updates from the position on, on data that fits the stage."""
        fabric, plan, data = self.bench.fabric, self.plan, self.bench.train_set
        module, optimizer = fabric.setup(plan.module, self.optimizer)
        plan.subject.eval()
        train_(plan.module)
        steps = range(self.position.step, plan.stage.num_steps)
        trainee = Trainee(module, optimizer, self.average)
        examples = stage_examples(data, plan, cache=self.cache, fabric=fabric, start=self.position.step)
        try:
            yield from fit(trainee, examples, fabric=fabric, rule=plan.rule, steps=steps)
        except TrainingError as error:
            names = samples_of_update(data, plan, step=self.position.step, num_processes=fabric.world_size)
            learned = f"its crops are of {', '.join(names)}"
            raise TrainingError(f"{plan.name}: {error}; {learned}; what was saved before stays") from error

    def _fill_cache(self) -> Job[None]:
        """Have the front end's scores on disk before the context module needs them."""
        bench, stage, subject = self.bench, self.plan.stage, self.plan.subject
        if self.plan.name != "context" or not isinstance(subject, DilatedNet) or not can_cache(stage):
            return
        device, precision = str(bench.fabric.device), bench.config.precision
        parent = bench.config.score_cache or bench.folder.scores
        self.cache = ScoreCache.of(subject.front_end, bench.train_set, parent, precision=precision)  # type: ignore[arg-type]
        if bench.fabric.is_global_zero:
            for progress in self.cache.fill(
                subject.front_end, mirror=stage.mirror, device=device, precision=precision
            ):
                yield progress
                if bench.wish.stop:
                    break
        bench.fabric.barrier()
        if signal := self._signal():
            raise self._stopped(signal)

    def _validate(self) -> Job[None]:
        """Judge the network, averaged where the stage wants that, and save."""
        with averaged(self.plan.module, self.average):
            is_judged = yield from self._judge()
        self._save(draw=True)
        if not is_judged:
            raise self._stopped(self._signal())
        self.bench.log(self.position.rows[-1])

    def _judge(self) -> Job[bool]:
        """Score the network and keep the best of the stage; False if it was asked to stop in the middle."""
        bench, plan = self.bench, self.plan
        if bench.val_set is None:
            save_model(bench, plan, self.position)
        else:
            scores = yield from validate(
                plan.subject,
                bench.val_set,
                fabric=bench.fabric,
                precision=bench.config.precision,
                crf=plan.crf,
                is_stopped=lambda: self._signal() != 0,
            )
            if scores is None:
                return False
            best, rows = self.position.best, self.position.rows
            row = replace(rows[-1], **{bench.task.column: scores.figure})
            self.position = replace(self.position, rows=(*rows[:-1], row))
            if best is None or scores.goodness > best.goodness:
                self.position = replace(self.position, scores={**self.position.scores, plan.name: scores})
                save_model(bench, plan, self.position)
            step, said = self.position.step, f"{' '.join(scores.headline)} on {bench.config.val_split}"
            message = f"{plan.name}, step {step}: {said}"
            yield Progress(step, plan.stage.num_steps, plan.name, message=message)
        self.position = replace(self.position, unvalidated=False)
        return True

    def _save(self, *, draw: bool) -> None:
        save_state(self.bench, self.position, self.optimizer, self.average, draw=draw)

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
