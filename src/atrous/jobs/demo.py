"""The whole story on built-in scenes: a front end, then a context module on it, and why that helps."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from atrous.errors import ConfigError, OutputError, StoppedError
from atrous.jobs.progress import Job
from atrous.jobs.train import STAGES, TrainConfig
from atrous.jobs.train import run as run_training
from atrous.training.settings import Stage

if TYPE_CHECKING:
    from atrous.data.scenes import Scenes
    from atrous.figures.curves import Course
    from atrous.jobs.demo_trial import Verdict

EARLY, ALONE, BOTH = "front end", "front end alone", "context module"


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """The whole story on built-in scenes, in a report.

    Attributes:
        output: Folder for report.html, both networks and a few scenes to predict on; those of an earlier demo
            are replaced.
        num_steps: Updates of the front end; then as many again for the front end alone, and for the context
            module on top of it.
        seed: Fixes initialization and order.
        device: auto, cpu, cuda, mps.
        precision: float32, bfloat16, or auto: bfloat16 where the processor computes in it.
    """

    output: Path = Path("runs/demo")
    num_steps: int = 200
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ConfigError(f"num_steps is {self.num_steps}; the demo needs at least 1")


@dataclass(frozen=True, slots=True)
class Training:
    """One training of the demo: what it was told, its best network, and its course."""

    config: TrainConfig
    stage: Stage
    checkpoint: Path
    course: "Course"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found.

    Attributes:
        report: The page.
        front_end: Verdict on the front end alone, trained for as long as both parts of the other network.
        context: Verdict on the front end with the context module.
        ceiling: Mean IoU that no network with the front end's window exceeds on these scenes.
        seconds: That it all took.
    """

    report: Path
    front_end: "Verdict"
    context: "Verdict"
    ceiling: float
    seconds: float
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "report": str(self.report),
            "front_end": self.front_end.scores.to_dict(),
            "with_context": self.context.scores.to_dict(),
            "ceiling": self.ceiling,
            "seconds": self.seconds,
        }

    def to_table(self) -> str:
        """IoU of every class by both networks, in percent."""
        alone, both = self.front_end.scores, self.context.scores
        rows = [(name, alone.per_class_iou[name], both.per_class_iou[name]) for name in alone.per_class_iou]
        rows.append(("mean", alone.mean_iou, both.mean_iou))
        lines = [f"{'IoU':<14}{'front end':>12}{'with context':>15}"]
        lines += [f"{name:<14}{100 * first:>12.1f}{100 * second:>15.1f}" for name, first, second in rows]
        lines += [
            "",
            f"The front end's window allows a mean of {100 * self.ceiling:.1f} at most.",
            f"Why, with pictures: {self.report}",
        ]
        return "\n".join(lines)


def run(config: DemoConfig) -> Job[DemoResult]:
    """Train, evaluate, report; yields progress, returns what was found.

    Raises:
        ConfigError: If there is no such device.
        OutputError: If the output folder cannot be written.
        StoppedError: If Ctrl-C or SIGTERM stopped it; an earlier report stays.
    """
    from atrous.data.scenes import Scenes
    from atrous.files import write_text
    from atrous.inference.predictor import Predictor
    from atrous.jobs.demo_report import Contestant, Story, tell
    from atrous.jobs.demo_trial import ceiling, run_trial

    started = time.perf_counter()
    scenes = Scenes("test")
    with _folder_for_training(config.output) as folder:
        trainings = yield from _train_all(config, folder)
        predictors = {
            name: Predictor(training.checkpoint, device=config.device) for name, training in trainings.items()
        }
        _keep(config.output, trainings, scenes)
    verdicts = yield from run_trial(predictors, scenes)
    seconds = time.perf_counter() - started
    early, alone, both = (Contestant(trainings[name], predictors[name], verdicts[name]) for name in trainings)
    report = config.output / "report.html"
    write_text(report, tell(Story(early, alone, both, scenes, seconds)))
    at_most = ceiling(scenes.label_set.num_classes)
    return DemoResult(report, verdicts[ALONE], verdicts[BOTH], at_most, seconds)


def _train_all(config: DemoConfig, folder: Path) -> Job[dict[str, Training]]:
    """The front end, and from it the two ways on."""
    from atrous.data.scenes import PATH

    stage = Stage(
        num_steps=config.num_steps,
        batch_size=4,
        crop_size=(240, 240),
        mirror=False,
        optimizer="adamw",
        learning_rate=5e-3,
        weight_decay=0.01,
        warmup_steps=min(10, config.num_steps - 1),
        loss_stride=2,
    )
    common = TrainConfig(
        data=Path(PATH),
        output=folder / "front_end",
        network="compact",
        seed=config.seed,
        device=config.device,
        precision=config.precision,
        validate_every=max(1, config.num_steps // 4),
        save_every=config.num_steps,
    )
    first = yield from _train(EARLY, replace(common, front_end=stage))
    common = replace(common, init=first.checkpoint, seed=config.seed + 1)  # other crops than before
    further = yield from _train(ALONE, replace(common, output=folder / "further", front_end=stage))
    context = yield from _train(
        BOTH, replace(common, output=folder / "context", network="compact_context", context=stage)
    )
    return {EARLY: first, ALONE: further, BOTH: context}


def _train(name: str, config: TrainConfig) -> Job[Training]:
    """One training, its progress under one name."""
    from atrous.figures.curves import read_log

    job = run_training(config)
    while True:
        try:
            said = next(job)
        except StopIteration as stop:
            (stage,) = config.stages.values()
            (course,) = read_log(config.output / "log.csv")
            return Training(config, stage, stop.value.checkpoint, course)
        except StoppedError as error:
            raise StoppedError(
                "stopped; start the demo anew to finish it", exit_code=error.exit_code
            ) from None
        if said.part in STAGES:
            yield replace(said, part=name, message="")


def _keep(output: Path, trainings: "dict[str, Training]", scenes: "Scenes") -> None:
    """Put both networks, and scenes to try them on, beside the report."""
    from PIL import Image

    from atrous.files import write_atomically
    from atrous.jobs.demo_pictures import SHOWN

    for name, file in ((ALONE, "front_end.safetensors"), (BOTH, "with_context.safetensors")):
        write_atomically(output / file, partial(shutil.copyfile, trainings[name].checkpoint))
    for index in SHOWN:
        sample = scenes[index]
        write_atomically(output / "scenes" / f"{sample.name}.png", Image.fromarray(sample.image).save)


@contextmanager
def _folder_for_training(output: Path) -> Iterator[Path]:
    """A folder beside the results that is gone in the end."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        temporary = TemporaryDirectory(dir=output, prefix=".training.")
    except OSError as error:
        raise OutputError(f"cannot write into {output} ({error}); choose another --output") from error
    with temporary as name:
        yield Path(name)
