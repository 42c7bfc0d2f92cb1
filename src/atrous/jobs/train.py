"""Train a network on a data set: front end, context module, both together; killed and resumed at will."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Positional, arg

from atrous.errors import ConfigError
from atrous.jobs.crf_settings import CRFSettings
from atrous.jobs.progress import Job, Progress, drain
from atrous.training.settings import Stage

if TYPE_CHECKING:
    from atrous.jobs.task import AnyScores

STAGES = ("front_end", "context", "joint", "crf_rnn")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Train a network on a data set.

    Without a recipe or a network, both are picked for the data and this machine, said, and saved.

    Attributes:
        data: Folder of the data set, or builtin:scenes, builtin:cues-40, builtin:depth, builtin:flow.
        output: Folder of the run: checkpoints, curves, log, the recipe as used.
        task: segmentation; regression: of depth or optical flow; or generation: of sound. Built-in sets, and
            folders of nothing but sounds, say it themselves.
        network: Name in the catalog (`atrous models`); empty picks one.
        backbone: What the network stands on, where it can be chosen: vgg16, resnet50, mobilenet_v2, ...,
            torchvision:NAME or timm:NAME; empty takes its own.
        context_module: none, basic or large: a context module put on top of a front end.
        noise: Standard deviation of the context module's initial weights off the identity.
        init: Starting weights: a checkpoint, or VGG-16's ImageNet convolutions.
        seed: Fixes initialization, order, augmentation and dropout.
        device: auto, cpu, cuda, mps.
        precision: float32, bfloat16, or auto: bfloat16 where the processor computes in it.
        train_split: Part of the data to learn from.
        val_split: Part to validate on; empty for none.
        validate_every: Steps from one validation to the next; 0 validates at the end of each stage.
        save_every: Steps from one save to the next, for --resume.
        resume: Go on with the run in `output`.
        tensorboard: Also write TensorBoard events (needs the extra of that name).
        minutes: Time the picked recipe may take.
        front_end: The stage that trains the front end alone.
        context: The stage that trains the context module on the frozen front end's scores.
        joint: The stage that trains everything.
        crf_rnn: The stage that trains the network and a CRF-RNN on top of it, end to end.
        crf: Where the CRF-RNN starts; what is left out is that of the CRF in `init`, or else of its paper:
            sigmas 3 (spatial), 160 (xy) and 3 (rgb), weights 3 and 5, 5 steps, normalization after.
    """

    HAS_RECIPES: ClassVar[bool] = True

    data: Annotated[Positional[Path | None], arg(metavar="DATA")] = None
    output: Annotated[Path, arg(aliases=("-o",))] = Path("runs/train")
    task: Literal["segmentation", "regression", "generation"] = "segmentation"
    network: str = ""
    backbone: str = ""
    context_module: Literal["none", "basic", "large"] = "none"
    noise: float = 0.0
    init: Path | None = None
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    train_split: str = "train"
    val_split: str = "val"
    validate_every: int = 0
    save_every: int = 200
    resume: bool = False
    tensorboard: bool = False
    minutes: float = 30.0
    front_end: Stage = field(default_factory=Stage)
    context: Stage = field(default_factory=Stage)
    joint: Stage = field(default_factory=Stage)
    crf_rnn: Stage = field(default_factory=Stage)
    crf: CRFSettings = field(default_factory=CRFSettings)

    def __post_init__(self) -> None:
        if self.validate_every < 0 or self.save_every < 1:
            raise ConfigError("validate_every must be at least 0 and save_every at least 1")
        if self.crf != CRFSettings() and not self.crf_rnn.num_steps:
            raise ConfigError(
                "crf has settings, and no stage trains a CRF; set num_steps of crf_rnn, or leave them out"
            )
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; it must be at least 0")

    @property
    def stages(self) -> dict[str, Stage]:
        """The stages to run, in order, by name."""
        every = {name: getattr(self, name) for name in STAGES}
        return {name: stage for name, stage in every.items() if stage.num_steps}


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run leaves.

    Attributes:
        checkpoint: The network, ready for prediction.
        scores: Of the best network of each stage on the validation split; empty without one.
    """

    checkpoint: Path
    scores: "dict[str, AnyScores]"
    exit_code: int = 0

    def to_table(self) -> str:
        """The score that decides by stage, and where the network is."""
        figures = [(name, *scores.headline) for name, scores in self.scores.items()]
        lines = [f"{name:<10} {text:>5}  {measure}" for name, measure, text in figures]
        return "\n".join([*lines, f"network: {self.checkpoint}"])

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "checkpoint": str(self.checkpoint),
            "stages": {name: scores.to_dict() for name, scores in self.scores.items()},
        }


def run(config: TrainConfig) -> Job[TrainResult]:
    """Train; yields progress, returns where the network is and how good.

    Raises:
        CheckpointError: If there is no run to resume, or starting weights do not fit.
        ConfigError: If the recipe does not fit the data or the network.
        DataError: If the data has mistakes that training would trip over.
        OutputError: If the output folder holds a run already, or the disk is full.
        StoppedError: If Ctrl-C or SIGTERM stopped it; everything is saved.
        TrainingError: If the loss stopped being finite.
    """
    from atrous.config import load_toml
    from atrous.jobs.run_folder import RunFolder

    folder = RunFolder(config.output)
    reasons: tuple[str, ...] = ()
    if config.resume:
        folder.refuse_missing()
        saved = load_toml(folder.path / "recipe.toml", TrainConfig)
        config = _resumed(config, saved)
    else:
        folder.refuse_existing()
        if config.stages and not config.network:
            raise ConfigError(
                f"stages {', '.join(config.stages)} are set, but no network; give --network, or leave the "
                "stages out to have all picked"
            )
        if config.data is None:
            raise ConfigError(
                "no data given; give the folder of a data set, or --resume with the --output of a run"
            )
        config = yield from _check(_with_task(config))
        if not config.stages:
            config, reasons = yield from _pick(config)
    from atrous.jobs.training_run import train_network  # heavy, and mistakes are told before

    return (yield from train_network(config, reasons=reasons))


def _resumed(config: TrainConfig, saved: TrainConfig) -> TrainConfig:
    """The run's own recipe, with the folders where they lie now; nothing else can change on the way."""
    fresh = TrainConfig()
    changed = [
        item.name
        for item in fields(config)
        if item.name not in ("data", "output", "resume")
        and getattr(config, item.name) not in (getattr(fresh, item.name), getattr(saved, item.name))
    ]
    if changed:
        raise ConfigError(
            f"a resumed run keeps its own recipe, and {', '.join(changed)} would change it; leave that out, "
            "or start a new run with the old one's network as --init"
        )
    return replace(saved, output=config.output, data=config.data or saved.data, resume=True)


def _with_task(config: TrainConfig) -> TrainConfig:
    """The config with the task that a built-in set of measured values implies."""
    from atrous.data.open_measured import is_made_measured
    from atrous.data.recordings import holds_recordings

    if config.data is not None and holds_recordings(config.data):
        return replace(config, task="generation")
    return replace(config, task="regression") if is_made_measured(config.data) else config


def _check(config: TrainConfig) -> Job[TrainConfig]:
    """The config, with a validation split that the data have, or none; refuses data with mistakes."""
    from atrous.data.builtin import is_builtin
    from atrous.data.check import VAL, refuse_mistakes
    from atrous.data.open import (
        FOLD,
        FOLDED,
        NOT_FOLD,
        holds_out_a_fold,
        open_dataset,
        samples_in_both,
        splits,
    )
    from atrous.data.open_measured import holds_measured, open_measured

    data = config.data
    assert data is not None
    if config.task == "generation":
        return (yield from _check_recordings(config, data))
    is_regression = config.task == "regression"
    open_split = open_measured if is_regression else open_dataset
    if is_builtin(data):  # made, not read
        open_split(data, config.train_split)
        return config
    if is_regression != holds_measured(data):
        open_split(data, config.train_split)  # says what is missing for the task
    is_usual = (config.train_split, config.val_split) == (FOLDED, VAL) and not is_regression
    if is_usual and holds_out_a_fold(data):
        yield Progress(
            0, 0, "check", message=f'{data} has no split "{VAL}": a fifth of "{FOLDED}" is held out, "{FOLD}"'
        )
        config = replace(config, train_split=NOT_FOLD, val_split=FOLD)
    elif config.val_split == VAL and VAL not in splits(data):
        yield Progress(
            0, 0, "check", message=f'{data} has no split "{VAL}": training goes without validation'
        )
        config = replace(config, val_split="")
    refuse_mistakes(data, splits=(config.train_split, config.val_split), measured=is_regression)
    judges = config.val_split and not is_regression
    if judges and (shared := samples_in_both(data, config.train_split, config.val_split)):
        message = warn_of_shared(shared, config.train_split, config.val_split)
        yield Progress(0, 0, "check", message=message)
    return config


def _check_recordings(config: TrainConfig, data: Path) -> Job[TrainConfig]:
    """The config, with a tenth of each condition held out where there is no validation split."""
    from atrous.data.recordings import open_recordings, recording_splits

    if (config.train_split, config.val_split) == ("train", "val") and recording_splits(data) == ("train",):
        held, rest = "fold0of10", "not-fold0of10"
        said = f'{data} has no split "val": a tenth of each condition is held out, "{held}"'
        yield Progress(0, 0, "check", message=said)
        config = replace(config, train_split=rest, val_split=held)
    for split in filter(None, (config.train_split, config.val_split)):
        open_recordings(data, split)
    return config


def warn_of_shared(number: int, train_split: str, split: str) -> str:
    """What to think of scores on samples that were learned from."""
    return (
        f'{number} samples of "{split}" are in "{train_split}" too: they are learned from and judged by, and '
        "scores will look better than they are"
    )


def _pick(config: TrainConfig) -> Job[tuple[TrainConfig, tuple[str, ...]]]:
    """The config with all that was left open chosen for the data and this machine; says what and why."""
    from atrous.data.quantity import MeasuredSamples
    from atrous.data.voice import Recordings
    from atrous.jobs.pick import look_at, pick
    from atrous.jobs.pick_sounds import pick_for_sounds
    from atrous.jobs.pick_volumes import pick_for_volumes
    from atrous.jobs.tasks import open_samples

    assert config.data is not None
    for name in STAGES:
        if getattr(config, name) != Stage():
            raise ConfigError(
                f"{name} has settings but no steps; set its num_steps, or leave all stages to be picked"
            )
    dataset = open_samples(config.data, config.train_split, task=config.task)
    if isinstance(dataset, Recordings):
        choice = pick_for_sounds(config, dataset)
    elif not isinstance(dataset, MeasuredSamples) and dataset[0].spacing:
        choice = pick_for_volumes(config, dataset)
    else:
        choice = pick(config, look_at(dataset, config), num_classes=dataset.label_set.num_classes)
    for reason in choice.reasons:
        yield Progress(0, 0, "pick", message=reason)
    return choice.config, choice.reasons


def train(config: TrainConfig) -> TrainResult:
    """Train and return the result; the job behind `atrous train` for use from Python."""
    return drain(run(config))
