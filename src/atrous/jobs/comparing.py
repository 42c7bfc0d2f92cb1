"""A whole comparison: every network and seed trained and scored, or why not, then each timed by itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from atrous.checkpoint import checkpoint_file
from atrous.config import load_toml, suggestion, to_dict, to_toml
from atrous.data.builtin import is_builtin
from atrous.data.check import refuse_mistakes
from atrous.data.open import open_dataset, samples_in_both
from atrous.errors import AtrousError, ConfigError, OutputError, StoppedError
from atrous.figures.canvas import save_figure
from atrous.figures.standings import draw_standings
from atrous.files import write_text
from atrous.jobs.compare import RECIPE, CompareConfig, CompareResult
from atrous.jobs.contenders import Contender, chosen, scaled, stages_of
from atrous.jobs.evaluate import EvaluateConfig
from atrous.jobs.evaluate import run as run_evaluation
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.network_cost import NetworkCost, network_cost
from atrous.jobs.prediction_cost import PredictionCost, measure_apart, read_cost
from atrous.jobs.preparation import warn_of_shared
from atrous.jobs.progress import Job, Progress, T
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.standings import Standing, Trial, describe_budget, describe_measures
from atrous.jobs.train import TrainConfig
from atrous.jobs.train import run as run_training
from atrous.models.catalog import CATALOG, build_network
from atrous.models.dilated_net import DilatedNet

SCORES = "scores.json"  # of `atrous evaluate`: written when a network is trained and scored


@dataclass(frozen=True, slots=True)
class Entrant:
    """A network that can be built: its cost, and a training a seed."""

    contender: Contender
    cost: NetworkCost
    trainings: dict[int, TrainConfig]


def compare_all(config: CompareConfig) -> Job[CompareResult]:
    """Do what is not done yet; see `atrous.jobs.compare.run`."""
    assert config.data is not None
    if not is_builtin(config.data):
        refuse_mistakes(config.data, splits=(config.train_split, config.split))
    contenders = chosen(config.networks, config.contenders)
    _refuse_missing(contenders, starts=not config.resume)
    entrants, reasons = _enter(config, contenders)
    for name, reason in reasons.items():
        yield Progress(0, 0, "plan", message=f"{name} is left out: {reason}")
    if not entrants:
        raise ConfigError(f"none of the networks can be compared; {next(iter(reasons.values()))}")
    if shared := samples_in_both(config.data, config.train_split, config.split):
        message = warn_of_shared(shared, config.train_split, config.split)
        yield Progress(0, 0, "plan", message=message)
    _refuse_changed(config, entrants)
    write_text(config.output / RECIPE, to_toml(replace(config, resume=False)))
    trials: dict[str, list[Trial]] = {name: [] for name in entrants}
    works = [(name, seed) for seed in config.seeds for name in entrants]  # every network once, then again
    for number, (name, seed) in enumerate(works, start=1):
        part = f"{number} of {len(works)}, {name}, seed {seed}"
        trial = yield from _trial(config, entrants[name].trainings[seed], part)
        trials[name].append(trial)
        yield Progress(0, 0, part, message=f"{part}: {trial.summary}")
    speeds = yield from _measure(config, trials)
    standings = tuple(
        Standing(
            contender.name,
            entrants[contender.name].cost if contender.name in entrants else None,
            tuple(trials.get(contender.name, ())),
            speeds.get(contender.name),
            reasons.get(contender.name, ""),
        )
        for contender in contenders
    )
    notes = (
        *describe_budget({name: entrant.trainings[config.seeds[0]] for name, entrant in entrants.items()}),
        *describe_measures(config, standings),
    )
    result = CompareResult(standings, notes, config.output / "comparison.png")
    _write(config.output, result)
    return result


def _enter(
    config: CompareConfig, contenders: Sequence[Contender]
) -> tuple[dict[str, Entrant], dict[str, str]]:
    """The networks that can be built, and why the others cannot."""
    assert config.data is not None
    dataset = open_dataset(config.data, config.split)
    entrants: dict[str, Entrant] = {}
    reasons: dict[str, str] = {}
    for contender in contenders:
        try:
            with torch.device("meta"):
                network = build_network(
                    contender.network,
                    num_classes=dataset.label_set.num_classes,
                    backbone=contender.backbone,
                    context_module=contender.context_module,
                    noise=contender.noise,
                )
            cost = network_cost(network, image_size=dataset[0].labels.shape)
            has_context = isinstance(network, DilatedNet)
            trainings = {
                seed: _training(config, contender, seed, has_context=has_context) for seed in config.seeds
            }
        except (AtrousError, RuntimeError) as error:
            reasons[contender.name] = _one_line(error)
            continue
        entrants[contender.name] = Entrant(contender, cost, trainings)
    return entrants, reasons


def _refuse_missing(contenders: Sequence[Contender], *, starts: bool) -> None:
    """Refuse names that are not there, and where all start, starting weights, before hours of training.

    Raises:
        ConfigError: If there is one.
    """
    for contender in contenders:
        if contender.network not in CATALOG:
            raise ConfigError(
                f'no network "{contender.network}" in the catalog or among the contenders; '
                f"{suggestion(contender.network, CATALOG)}"
            )
        if starts and contender.init is not None and not checkpoint_file(contender.init).exists():
            raise ConfigError(
                f"{contender.name} starts from {contender.init}, which is not there; a path in a recipe is "
                "looked up from the folder that the command runs in"
            )


def _training(config: CompareConfig, contender: Contender, seed: int, *, has_context: bool) -> TrainConfig:
    """The training of a network from a seed: what all share, and what is its own."""
    stages = {name: getattr(config, name) for name in ("front_end", "context", "joint")}
    stages = stages_of(contender, scaled(stages, config.num_steps), has_context=has_context)
    training = TrainConfig(
        data=config.data,
        output=config.output / contender.name / f"seed_{seed}",
        network=contender.network,
        backbone=contender.backbone,
        context_module=contender.context_module,
        noise=contender.noise,
        init=contender.init,
        seed=seed,
        device=config.device,
        precision=config.precision,
        train_split=config.train_split,
        val_split="",  # nothing is picked on the split that judges
        save_every=config.save_every,
    )
    return replace(training, **stages)


def _refuse_changed(config: CompareConfig, entrants: dict[str, Entrant]) -> None:
    """Refuse to go on with trainings that were set otherwise than now.

    Raises:
        ConfigError: If there is one.
    """
    for entrant in entrants.values():
        for training in entrant.trainings.values():
            recipe = training.output / RECIPE
            if recipe.exists():
                saved = load_toml(recipe, TrainConfig)
                if replace(saved, data=training.data, output=training.output) != training:
                    raise ConfigError(
                        f"{training.output} was trained by other settings than {config.output} has now; give "
                        "the network another name, or remove that folder"
                    )


def _trial(config: CompareConfig, training: TrainConfig, part: str) -> Job[Trial]:
    """Train and score one network from one seed, from wherever that stands."""
    assert config.data is not None
    scores = training.output / SCORES
    if not scores.exists():
        evaluation = EvaluateConfig(
            checkpoint=RunFolder(training.output).model,
            data=config.data,
            split=config.split,
            output=training.output,
            inference=InferenceSettings(device=config.device),
        )
        try:
            yield from _told(run_training(_from_where_it_stands(training)), part)
            yield from _told(run_evaluation(evaluation), part)
        except StoppedError as stopped:
            message = f"stopped in {part}, all saved; add --resume to go on"
            raise StoppedError(message, exit_code=stopped.exit_code) from None
        except OutputError:
            raise
        except (AtrousError, RuntimeError, MemoryError) as error:
            return Trial(training.seed, reason=_one_line(error))
    return Trial.read(training.seed, scores)


def _from_where_it_stands(training: TrainConfig) -> TrainConfig:
    folder = RunFolder(training.output)
    if folder.last.exists():
        return TrainConfig(data=training.data, output=training.output, resume=True)
    (folder.path / RECIPE).unlink(missing_ok=True)  # killed before its first save
    return training


def _told(job: Job[T], part: str) -> Job[T]:
    """The job, with its place in the comparison before what it tells."""
    while True:
        try:
            said = next(job)
        except StopIteration as stop:
            return stop.value
        message = f"{part}: {said.message}" if said.message else ""
        yield replace(said, part=f"{part}, {said.part}", message=message)


def _measure(config: CompareConfig, trials: dict[str, list[Trial]]) -> Job[dict[str, PredictionCost]]:
    """Time every network that was trained, each in a process of its own, one after the other."""
    assert config.data is not None
    speeds: dict[str, PredictionCost] = {}
    for done, (name, tried) in enumerate(trials.items(), start=1):
        trained = next((trial for trial in tried if not trial.reason), None)
        if trained is None:
            continue
        run = config.output / name / f"seed_{trained.seed}"
        saved = run / "prediction.json"
        if saved.exists() and config.speed != "again":
            speeds[name] = read_cost(saved)
        elif config.speed != "none":
            checkpoint, said = RunFolder(run).model, ""
            try:
                speeds[name] = measure_apart(checkpoint, config.data, config.split, device=config.device)
                write_text(saved, json.dumps(to_dict(speeds[name]), indent=1) + "\n")
            except ConfigError as error:
                said = str(error)
            yield Progress(done, len(trials), "speed and memory", message=said)
    return speeds


def _write(folder: Path, result: CompareResult) -> None:
    write_text(folder / "comparison.json", json.dumps(result.to_dict(), indent=1) + "\n")
    write_text(folder / "comparison.txt", result.to_table() + "\n")
    write_text(folder / "comparison.md", result.to_markdown() + "\n")
    save_figure(result.picture, draw_standings([standing.to_line() for standing in result.standings]))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
