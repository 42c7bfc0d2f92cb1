"""What a run settles before it trains: its task, its splits, and all that the recipe left open."""

from dataclasses import replace
from pathlib import Path

from atrous.data.builtin import is_builtin
from atrous.data.check import VAL, refuse_mistakes
from atrous.data.open import (
    FOLD,
    FOLDED,
    NOT_FOLD,
    holds_only_recordings,
    holds_out_a_fold,
    open_dataset,
    samples_in_both,
    splits,
)
from atrous.data.open_measured import holds_measured, is_made_measured, open_measured
from atrous.data.quantity import MeasuredSamples
from atrous.data.recordings import recording_splits
from atrous.data.voice import TASK, Recordings
from atrous.errors import ConfigError
from atrous.jobs.pick import look_at, pick
from atrous.jobs.pick_sounds import pick_for_sounds
from atrous.jobs.pick_volumes import pick_for_volumes
from atrous.jobs.progress import Job, Progress
from atrous.jobs.tasks import open_samples
from atrous.jobs.train import STAGES, TrainConfig
from atrous.training.settings import Stage

TENTH = "fold0of10"  # of sounds, of which there are many


def prepared(config: TrainConfig) -> Job[tuple[TrainConfig, tuple[str, ...]]]:
    """The config with nothing left open, and the reasons for what was picked.

    Raises:
        ConfigError: If stages are set that have no steps.
        DataError: If the data have mistakes that training would trip over.
    """
    config = yield from _check(_with_task(config))
    return (config, ()) if config.stages else (yield from _pick(config))


def _with_task(config: TrainConfig) -> TrainConfig:
    """The config with the task that the data imply: built-in measured values, or nothing but sounds."""
    data = config.data
    if data is not None and holds_only_recordings(data):
        return replace(config, task=TASK)
    return replace(config, task="regression") if is_made_measured(data) else config


def _check(config: TrainConfig) -> Job[TrainConfig]:
    """The config, with a validation split that the data have, or none; refuses data with mistakes."""
    data = config.data
    assert data is not None
    if config.task == TASK:
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
    is_usual = (config.train_split, config.val_split) == (FOLDED, VAL)
    if is_usual and recording_splits(data) == (FOLDED,):
        said = f'{data} has no split "{VAL}": a tenth of each condition is held out, "{TENTH}"'
        yield Progress(0, 0, "check", message=said)
        config = replace(config, train_split=f"not-{TENTH}", val_split=TENTH)
    used = [split for split in (config.train_split, config.val_split) if split]
    refuse_mistakes(data, splits=used)
    return config


def warn_of_shared(number: int, train_split: str, split: str) -> str:
    """What to think of scores on samples that were learned from."""
    return (
        f'{number} samples of "{split}" are in "{train_split}" too: they are learned from and judged by, and '
        "scores will look better than they are"
    )


def _pick(config: TrainConfig) -> Job[tuple[TrainConfig, tuple[str, ...]]]:
    """The config with all that was left open chosen for the data and this machine; says what and why."""
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
