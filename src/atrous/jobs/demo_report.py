"""The demo's page: its words stand in `demo_report.html`, its numbers and pictures are put in here."""

import platform
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import torch

from atrous.data.scene_plan import CLEARANCE, KINDS, SIDE
from atrous.data.scenes import NUM_LAYOUTS, Scenes
from atrous.figures.canvas import INK
from atrous.figures.comparison import Run, draw_comparison
from atrous.figures.report import (
    FIRST,
    SECOND,
    build_page,
    chart,
    legend,
    percent_with_bar,
    picture,
    swatch,
    table,
)
from atrous.inference.machine import computes_in_bfloat16
from atrous.inference.predictor import Predictor
from atrous.jobs.demo_pictures import SHOWN, label_picture, prediction_grid, sight_pictures
from atrous.jobs.demo_trial import BEST_GUESS, CHANCE, CORES, Verdict, ceiling
from atrous.models.context import DILATIONS
from atrous.models.contract import DenseNetwork

if TYPE_CHECKING:
    from atrous.jobs.demo import Training

WORDS = Path(__file__).with_suffix(".html")


@dataclass(frozen=True, slots=True)
class Contestant:
    """A network of the demo with all that is known about it."""

    training: "Training"
    predictor: Predictor
    verdict: Verdict

    @property
    def network(self) -> DenseNetwork:
        """The network itself."""
        return self.predictor.network


@dataclass(frozen=True, slots=True)
class Story:
    """What the page tells.

    Attributes:
        early: The front end where the two ways part.
        alone: The front end trained on.
        both: That front end with the context module trained on top of it.
        scenes: Held out.
        seconds: That all took.
    """

    early: Contestant
    alone: Contestant
    both: Contestant
    scenes: Scenes
    seconds: float


def tell(story: Story) -> str:
    """The page as HTML."""
    title = f"What a window of {story.alone.network.receptive_field} pixels cannot know"
    words = Template(WORDS.read_text(encoding="utf-8"))
    parts = _geometry(story) | _figures(story) | _pictures(story) | _circumstances(story)
    return build_page(title, body_html=words.substitute(parts, title=title))


def _geometry(story: Story) -> dict[str, str]:
    """Sizes of scenes and networks."""
    alone, both = story.alone.network, story.both.network
    more = both.num_parameters() - alone.num_parameters()
    reach = (alone.receptive_field - 1) / 2 + alone.output_stride - 0.5
    cells = 1 + (both.receptive_field - alone.receptive_field) // alone.output_stride
    return {
        "side": f"{SIDE}",
        "clearance": f"{CLEARANCE:.0f}",
        "stride": f"{alone.output_stride}",
        "alone_field": f"{alone.receptive_field}",
        "both_field": f"{both.receptive_field}",
        "cells": f"{cells}",
        "dilations": ", ".join(map(str, DILATIONS[:-1])) + f" and {DILATIONS[-1]}",
        "reach": f"{reach:.0f}",
        "corner": f"{reach * 2**0.5:.0f}",
        "alone_parameters": f"{alone.num_parameters():,}",
        "more_parameters": f"{more:,}",
        "more_share": f"{100 * more / alone.num_parameters():.1f}",
    }


def _figures(story: Story) -> dict[str, str]:
    """What the trial found."""
    alone, both = story.alone.verdict, story.both.verdict
    return {
        "ceiling": _percent(ceiling(story.scenes.label_set.num_classes)),
        "chance": _percent(CHANCE),
        "num_scenes": f"{len(story.scenes)}",
        "alone_mean": _percent(alone.scores.mean_iou),
        "both_mean": _percent(both.scores.mean_iou),
        "alone_cores": _percent(alone.core_accuracy),
        "both_cores": _percent(both.core_accuracy),
        "alone_accuracy": _percent(alone.scores.pixel_accuracy),
        "both_accuracy": _percent(both.scores.pixel_accuracy),
        "scores": _scores(story),
        "num_core_pixels": f"{alone.num_core_pixels:,}",
        "alone_changed": f"{alone.num_changed:,}" if alone.num_changed else "none",
        "both_changed": f"{both.num_changed:,}",
        "alone_change": f"{alone.largest_change:.2g}" if alone.largest_change else "exactly zero",
        "early_mean": _percent(story.early.verdict.scores.mean_iou),
    }


def _scores(story: Story) -> str:
    """IoU of each class by both networks, and by the best guess that the front end's window allows."""
    label_set = story.scenes.label_set
    alone, both = story.alone.verdict.scores, story.both.verdict.scores
    rows = [
        (
            swatch(name, color),
            _percent(BEST_GUESS if label in CORES else 1.0),
            percent_with_bar(alone.per_class_iou[name], tone="first"),
            percent_with_bar(both.per_class_iou[name], tone="second"),
        )
        for label, (name, color) in enumerate(zip(label_set.names, label_set.palette, strict=True))
    ]
    total = (
        "mean",
        _percent(ceiling(label_set.num_classes)),
        percent_with_bar(alone.mean_iou, tone="first"),
        percent_with_bar(both.mean_iou, tone="second"),
    )
    width = story.alone.network.receptive_field
    heads = ("IoU, %", f"best guess, seeing {width} px", "front end alone", "with context module")
    return table(heads, rows, total=total)


def _pictures(story: Story) -> dict[str, str]:
    scenes, label_set = story.scenes, story.scenes.label_set
    sample = scenes[SHOWN[0]]
    predictors = {"front end alone": story.alone.predictor, "with context module": story.both.predictor}
    return {
        "scene": picture(sample.image, "a scene"),
        "scene_labels": label_picture(sample.image, sample.labels, label_set.palette, "its labels"),
        "legend": legend(label_set.names[1:], label_set.palette[1:]),
        "predictions": prediction_grid(scenes, predictors, SHOWN),
        "turns": prediction_grid(scenes, predictors, range(len(KINDS))),
        "course": _course(story),
        **sight_pictures(scenes, story.alone.predictor, story.both.predictor),
    }


def _course(story: Story) -> str:
    early = story.early.training.course
    runs = [
        Run("", early, INK),
        Run("front end alone", story.alone.training.course, FIRST, after=early),
        Run("with context module", story.both.training.course, SECOND, after=early),
    ]
    at_most = f"at most, seeing {story.alone.network.receptive_field} px"
    figure = draw_comparison(runs, ceiling=ceiling(story.scenes.label_set.num_classes), ceiling_name=at_most)
    return chart(figure, "loss and mean IoU on validation by update")


def _circumstances(story: Story) -> dict[str, str]:
    """How the numbers came about."""
    config, stage = story.both.training.config, story.both.training.stage
    device = story.both.predictor.device
    in_bfloat16 = computes_in_bfloat16(device, config.precision)
    return {
        "num_updates": f"{story.early.training.stage.num_steps + stage.num_steps}",
        "fork": f"{stage.num_steps}",
        "num_train": f"{len(KINDS) * NUM_LAYOUTS['train']}",
        "num_val": f"{len(KINDS) * NUM_LAYOUTS['val']}",
        "settings": (
            f"{stage.optimizer}, learning rate {stage.learning_rate:g} ({stage.schedule}), "
            f"batches of {stage.batch_size} scenes, {stage.loss.replace('_', ' ')}"
        ),
        "seed": f"{story.early.training.config.seed}",
        "precision": "bfloat16" if in_bfloat16 else "float32",
        "machine": (
            f"{device.type}, {_threads(torch.get_num_threads())}, torch {torch.__version__}, "
            f"Python {platform.python_version()}"
        ),
        "seconds": f"{story.seconds:.0f}",
    }


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
