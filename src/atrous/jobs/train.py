"""Train a network on a data set: front end, context module, both together; killed and resumed at will."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Positional, arg

from atrous.errors import ConfigError
from atrous.jobs.crf_settings import CRFSettings
from atrous.jobs.progress import Job, drain
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
        score_cache: Folder in which the context stage keeps the front end's scores for other runs on top of
            it; unless given they go with the stage.
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
    score_cache: Path | None = None
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
    from atrous.jobs.preparation import prepared
    from atrous.jobs.run_folder import RunFolder

    folder = RunFolder(config.output)
    reasons: tuple[str, ...] = ()
    if config.resume:
        folder.refuse_missing()
        saved = load_toml(folder.recipe, TrainConfig)
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
        config, reasons = yield from prepared(config)
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


def train(config: TrainConfig) -> TrainResult:
    """Train and return the result; the job behind `atrous train` for use from Python."""
    return drain(run(config))
