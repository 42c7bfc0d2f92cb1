"""Train several networks under one budget of updates, and set them side by side in a table and a picture."""

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Positional, Suppress, arg

from atrous.errors import ConfigError, OutputError
from atrous.jobs.contenders import Contender, chosen, names_of
from atrous.jobs.progress import Job, drain
from atrous.training.settings import Stage

if TYPE_CHECKING:
    from atrous.jobs.standings import Standing

RECIPE = "recipe.toml"
SEEDS = (0, 1, 2)
SPLITS = {"train_split": "train", "split": "val"}
FRONT_END = Stage(
    num_steps=420,
    crop_size=(240, 240),
    optimizer="adamw",
    weight_decay=0.01,
    warmup_steps=20,
    loss="cross_entropy+lovasz",
)
CONTEXT = replace(FRONT_END, num_steps=90)
JOINT = replace(FRONT_END, num_steps=90, learning_rate=3e-4)


@dataclass(frozen=True, slots=True)
class CompareConfig:
    """Train several networks under one budget of updates and set them side by side.

    A network with a context module spends the budget on the three stages as they are set; one without spends
    all of it on the settings of front_end. Each is scored as its last update leaves it; nothing is picked on
    the split that it is scored on.

    Attributes:
        data: Folder of the data set, builtin:scenes, or builtin:cues-40.
        output: Folder of the comparison: a folder a network and seed below it, the table and the picture.
        networks: Names in the catalog (`atrous models`), or of contenders of the recipe; empty takes all
            contenders.
        contenders: Networks with settings of their own, each a table [[contenders]] of the recipe.
        seeds: Each network is trained once for each; 0 1 2 unless given.
        num_steps: Updates of each network in all; the stages are scaled to it; 0 leaves them.
        device: auto, cpu, cuda, mps.
        precision: Of training: float32, bfloat16, or auto: bfloat16 where the processor computes in it.
        train_split: Part of the data to learn from; train unless given.
        split: Part that the networks are scored on; val unless given.
        save_every: Steps from one save to the next, for --resume.
        speed: Whether prediction is timed, one network after the other: auto, once; again; or none.
        resume: Go on with the comparison in `output`; finished trainings are kept, networks and seeds may be
            added.
        front_end: The stage that trains the front end alone, or all of a network without a context module.
        context: The stage that trains the context module on the frozen front end's scores.
        joint: The stage that trains front end and context module.
    """

    HAS_RECIPES: ClassVar[bool] = True

    data: Annotated[Positional[Path | None], arg(metavar="DATA")] = None
    output: Annotated[Path, arg(aliases=("-o",))] = Path("runs/compare")
    networks: tuple[str, ...] = ()
    contenders: Suppress[tuple[Contender, ...]] = ()
    seeds: tuple[int, ...] = ()  # what a default would be cannot be told from what was given, on --resume
    num_steps: int = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    train_split: str = ""
    split: str = ""
    save_every: int = 100
    speed: Literal["auto", "again", "none"] = "auto"
    resume: bool = False
    front_end: Stage = FRONT_END
    context: Stage = CONTEXT
    joint: Stage = JOINT

    def __post_init__(self) -> None:
        for what, given in (("networks", self.networks), ("seeds", self.seeds)):
            if len(set(given)) < len(given):
                raise ConfigError(f"{what} {' '.join(map(str, given))} name one twice; give each once")
        if min(self.seeds, default=0) < 0:
            raise ConfigError(f"seeds are {self.seeds}; they must be at least 0")
        if self.num_steps < 0 or self.save_every < 1:
            raise ConfigError("num_steps must be at least 0 and save_every at least 1")
        if not self.front_end.num_steps:
            raise ConfigError("front_end has no steps; every network begins with it: set its num_steps")
        names_of(self.contenders)  # refuses two of one name


@dataclass(frozen=True, slots=True)
class CompareResult:
    """The networks side by side.

    Attributes:
        standings: One a network, in the order given.
        notes: What was done and measured, a line each.
        picture: Where the picture is.
        exit_code: 1 if a network failed.
    """

    standings: "tuple[Standing, ...]"
    notes: tuple[str, ...]
    picture: Path

    @property
    def exit_code(self) -> int:
        """0, or 1 if a network failed."""
        return int(any(standing.reason for standing in self.standings))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "networks": [standing.to_dict() for standing in self.standings],
            "notes": list(self.notes),
            "picture": str(self.picture),
        }

    def to_table(self) -> str:
        """A line a network, and what the columns mean."""
        from atrous.jobs.standings_table import text_table

        return text_table(self.standings, self.notes)

    def to_markdown(self) -> str:
        """The same for a page."""
        from atrous.jobs.standings_table import markdown_table

        return markdown_table(self.standings, self.notes)


def run(config: CompareConfig) -> Job[CompareResult]:
    """Train, score, measure and compare; yields progress, returns the table.

    A network that fails becomes a line with its reason, and the others go on.

    Raises:
        CheckpointError: If there is no comparison to resume.
        ConfigError: If no network is given, all are impossible, or a resumed training was set otherwise.
        DataError: If the data have mistakes that training would trip over.
        OutputError: If the output folder holds a comparison already, or cannot be written.
        StoppedError: If Ctrl-C or SIGTERM stopped it; everything is saved.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("compare trains in one process; run it without torchrun")
    config = _resumed(config) if config.resume else _fresh(config)
    from atrous.jobs.comparing import compare_all  # heavy, and mistakes are told before

    return (yield from compare_all(config))


def _fresh(config: CompareConfig) -> CompareConfig:
    if (config.output / RECIPE).exists():
        raise OutputError(
            f"{config.output} holds a comparison already; add --resume to go on, or choose another --output"
        )
    if config.data is None:
        raise ConfigError(
            "no data given; give the folder of a data set, or --resume with the --output of a comparison"
        )
    if not config.networks and not config.contenders:
        raise ConfigError("no networks given; name some by --networks, or in a recipe's [[contenders]]")
    splits = {name: getattr(config, name) or usual for name, usual in SPLITS.items()}
    return replace(config, seeds=config.seeds or SEEDS, **splits)


def _resumed(config: CompareConfig) -> CompareConfig:
    """The comparison's own recipe, and networks and seeds that are added; shared settings cannot change."""
    from atrous.config import load_toml
    from atrous.errors import CheckpointError

    path = config.output / RECIPE
    if not path.exists():
        raise CheckpointError(f"{config.output} has no {RECIPE} to resume; leave out --resume to start")
    saved, fresh = load_toml(path, CompareConfig), CompareConfig()
    may_change = ("data", "output", "resume", "speed", "networks", "contenders", "seeds")
    changed = [
        item.name
        for item in fields(config)
        if item.name not in may_change
        and getattr(config, item.name) not in (getattr(fresh, item.name), getattr(saved, item.name))
    ]
    if changed:
        raise ConfigError(
            f"a resumed comparison keeps its settings, and {', '.join(changed)} would change them; leave "
            "that out, or start another comparison in another --output"
        )
    _refuse_other_data(config.data, saved.data)
    contenders = names_of(saved.contenders) | names_of(config.contenders)
    before, given = (chosen(one.networks, one.contenders) for one in (saved, config))
    return replace(
        saved,
        data=config.data or saved.data,
        output=config.output,
        speed=config.speed,
        resume=True,
        networks=tuple(dict.fromkeys(contender.name for contender in (*before, *given))),
        contenders=tuple(contenders.values()),
        seeds=tuple(dict.fromkeys(saved.seeds + config.seeds)),
    )


def _refuse_other_data(given: Path | None, saved: Path | None) -> None:
    """Refuse to go on with other data; a folder may have been moved.

    Raises:
        ConfigError: If they are not those of the comparison.
    """
    if given is None or saved is None or given == saved:
        return
    is_moved = not saved.exists() and given.exists()
    if not is_moved and given.absolute() != saved.absolute():
        raise ConfigError(
            f"the comparison is on {saved}, and {given} is given: its scores would stand beside those of "
            "other data; leave DATA out, or start another comparison in another --output"
        )


def compare(config: CompareConfig) -> CompareResult:
    """Compare and return the result; the job behind `atrous compare` for use from Python."""
    return drain(run(config))
