"""The demo's page: what the scenes ask, what each network sees, how good they are, and why."""

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from atrous.data.scene_plan import CLEARANCE, KINDS, SIDE
from atrous.data.scenes import Scenes
from atrous.figures.comparison import Run, draw_comparison
from atrous.figures.report import (
    FIRST,
    SECOND,
    Section,
    Tile,
    build_page,
    chart,
    columns,
    facts,
    figure_html,
    legend,
    percent_with_bar,
    picture,
    swatch,
    table,
    tiles,
)
from atrous.inference.machine import computes_in_bfloat16
from atrous.inference.predictor import Predictor
from atrous.jobs.demo_pictures import label_picture, prediction_grid, shown_scenes, sight_columns
from atrous.jobs.demo_trial import CHANCE, CORES, Verdict, ceiling
from atrous.models.contract import DenseNetwork

if TYPE_CHECKING:
    from atrous.jobs.demo import Training

INK = "#1d2125"


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

    @property
    def ceiling(self) -> float:
        """Mean IoU that the front end's window allows at most."""
        return ceiling(self.scenes.label_set.num_classes)

    @property
    def num_updates(self) -> int:
        """Of either network, both parts together."""
        return self.early.training.stage.num_steps + self.both.training.stage.num_steps

    @property
    def more_parameters(self) -> int:
        """Of the context module."""
        return self.both.network.num_parameters() - self.alone.network.num_parameters()


def tell(story: Story) -> str:
    """The page as HTML."""
    alone, both = story.alone, story.both
    lead = (
        f'<p class="lead">Two networks learned the same scenes for {story.num_updates} updates each. The first, a '
        f"front end that sees {alone.network.receptive_field} pixels, reaches a mean IoU of "
        f"{_percent(alone.verdict.scores.mean_iou)} on {len(story.scenes)} held-out scenes; "
        f"{_percent(story.ceiling)} is the most that its window allows. The second, with a context module of "
        f"{story.more_parameters:,} parameters on top, reaches {_percent(both.verdict.scores.mean_iou)}.</p>\n"
    )
    sections = [
        Section("What is asked", _task(story)),
        Section("What each network sees", _sight(story)),
        Section("How good they are", _scores(story)),
        Section("What they say", _predictions(story)),
        Section("It is the rings: moved, and nothing else", _experiment(story)),
        Section("How they learned", _course(story)),
        Section("How this was made", _making(story)),
    ]
    return build_page(
        f"What a window of {alone.network.receptive_field} pixels cannot know",
        kicker="atrous demo \N{MIDDLE DOT} dilated convolutions for context",
        lead_html=lead + _tiles(story),
        sections=sections,
    )


def _tiles(story: Story) -> str:
    alone, both = story.alone, story.both
    share = 100 * story.more_parameters / alone.network.num_parameters()
    return tiles(
        [
            Tile(f"{100 * alone.verdict.scores.mean_iou:.1f}", "%", "mean IoU, front end alone", "first"),
            Tile(f"{100 * both.verdict.scores.mean_iou:.1f}", "%", "mean IoU with context module", "second"),
            Tile(
                f"{100 * story.ceiling:.1f}",
                "%",
                f"at most, for any network that sees {alone.network.receptive_field} px",
            ),
            Tile(
                f"+{share:.1f}",
                "%",
                f"parameters: {story.more_parameters:,} on top of {alone.network.num_parameters():,}",
            ),
        ]
    )


def _task(story: Story) -> str:
    label_set = story.scenes.label_set
    sample = story.scenes[shown_scenes()[0]]
    return (
        "<p>Every scene holds three <em>cores</em> of one and the same texture: one inside a red ring, one inside "
        "a blue ring, one alone. A core is to be named after its ring. Both colors lie in every scene, so the "
        "colors of the image as a whole say nothing; marks of the same colors lie about, so a speck of red nearby "
        "says nothing either.</p>\n"
        f"<p>Only the ring says something, and no ring comes nearer than {CLEARANCE:.0f} pixels to a core. Every "
        f"layout appears {len(KINDS)} times with its rings dealt out in turn, the same down to the last pixel "
        "elsewhere.</p>\n"
        + columns(
            [
                figure_html(picture(sample.image, "a scene"), f"A scene, {SIDE} &times; {SIDE} pixels."),
                figure_html(
                    label_picture(sample.image, sample.labels, label_set.palette, "its labels"), "Its labels."
                ),
            ]
        )
        + legend(label_set.names, label_set.palette)
    )


def _sight(story: Story) -> str:
    alone, both = story.alone.network, story.both.network
    reach = (alone.receptive_field - 1) / 2 + alone.output_stride - 0.5
    return (
        f"<p>Both networks answer on a grid of one cell every {alone.output_stride} pixels. A cell of the front end "
        f"sees {alone.receptive_field} &times; {alone.receptive_field} pixels. Seven layers of 3 &times; 3 "
        "convolutions, dilated by 1, 1, 2, 4, 8, 16 and 1, let the context module see 67 &times; 67 of these "
        f"cells, and so {both.receptive_field} &times; {both.receptive_field} pixels, without losing resolution."
        "</p>\n"
        + sight_columns(story.scenes, story.alone.predictor, story.both.predictor)
        + "<p>Labels of single "
        "pixels are interpolated between neighboring cells, so one hangs on pixels up to "
        f"{reach:.0f} to each side and {reach * 2**0.5:.1f} away at the corners, still less than the "
        f"{CLEARANCE:.0f} to the nearest ring.</p>"
    )


def _scores(story: Story) -> str:
    alone, both = story.alone.verdict, story.both.verdict
    names, palette = story.scenes.label_set.names, story.scenes.label_set.palette
    at_most = [1 / (2 * len(CORES) - 1) if label in CORES else 1.0 for label in range(len(names))]
    rows = [
        [
            swatch(name, color),
            f"{100 * most:.0f}",
            percent_with_bar(alone.scores.per_class_iou[name], "first"),
            percent_with_bar(both.scores.per_class_iou[name], "second"),
        ]
        for name, color, most in zip(names, palette, at_most, strict=True)
    ]
    rows.append(
        [
            "mean",
            f"{100 * story.ceiling:.0f}",
            percent_with_bar(alone.scores.mean_iou, "first"),
            percent_with_bar(both.scores.mean_iou, "second"),
        ]
    )
    heads = ["IoU, %", "at most without the rings", "front end alone", "with context module"]
    return (
        table(heads, rows, total=True)
        + f"<p>Ground and rings are plain to both. On the cores the front end names "
        f"{_percent(alone.core_accuracy)} of the pixels rightly, the context module {_percent(both.core_accuracy)}; "
        f"guessing among three names gives {_percent(CHANCE)}.</p>\n"
        "<p>Why the front end cannot do better: what does not see the rings gives a core the same name in all "
        "three turns of a layout, and is right in one. If it calls a share <em>p</em> of all core pixels by one "
        "name, the IoU of that name is at most <em>p</em> / (1 + 2<em>p</em>); the sum over the three names is "
        "largest when all are called equally often, with 1/5 each. Everything else perfect, the mean is "
        f"(3 &middot; 1 + 3 &middot; 1/5) / 6 = {_percent(story.ceiling)}. Pixel accuracy hides this: "
        f"{_percent(alone.scores.pixel_accuracy)} against {_percent(both.scores.pixel_accuracy)}, as most of a scene "
        "is ground.</p>"
    )


def _predictions(story: Story) -> str:
    predictors = {"front end alone": story.alone.predictor, "with context module": story.both.predictor}
    return (
        "<p>The first held-out layouts, not chosen. Ground is left clear.</p>\n"
        + prediction_grid(story.scenes, predictors, shown_scenes())
        + legend(story.scenes.label_set.names[1:], story.scenes.label_set.palette[1:])
    )


def _experiment(story: Story) -> str:
    alone, both = story.alone.verdict, story.both.verdict
    predictors = {"front end alone": story.alone.predictor, "with context module": story.both.predictor}
    return (
        "<p>One layout in its three turns: only the rings differ. The front end gives every core the name that it "
        "gave it before. The context module follows the rings.</p>\n"
        + prediction_grid(story.scenes, predictors, range(len(KINDS)))
        + f"<p>Over all held-out layouts, {alone.num_core_pixels:,} core pixels were compared with themselves in "
        f"another turn. The front end renamed {_count(alone.num_changed)} of them, and no score of any class "
        f"at any of them moved by more than {alone.largest_change:g}. The context module renamed "
        f"{_percent(both.num_changed / both.num_core_pixels)}, and is right on {_percent(both.core_accuracy)}.</p>"
    )


def _course(story: Story) -> str:
    early, alone, both = story.early.training, story.alone.training, story.both.training
    runs = [
        Run("", early.course, INK),
        Run("front end alone", alone.course, FIRST, after=early.course),
        Run("with context module", both.course, SECOND, after=early.course),
    ]
    width = story.alone.network.receptive_field
    figure = draw_comparison(runs, ceiling=story.ceiling, ceiling_name=f"at most, seeing {width} px")
    return (
        f"<p>After {early.stage.num_steps} updates the front end stops gaining, and the ways part. On one, it is "
        f"trained on as it was, for {alone.stage.num_steps} more updates. On the other it is frozen, and a context "
        "module is trained on its scores with the same settings for as many. The module starts as the identity "
        "(Yu &amp; Koltun 2016, section 3), so it begins where the front end ended.</p>\n"
        + figure_html(
            chart(figure, "loss and mean IoU on validation by update"),
            "Loss on training scenes and mean IoU on validation scenes; the numbers above are from a third, "
            "held-out set.",
            style="chart",
        )
    )


def _making(story: Story) -> str:
    training, stage = story.both.training, story.both.training.stage
    in_bfloat16 = computes_in_bfloat16(story.both.predictor.device, training.config.precision)
    seeds = f"{story.early.training.config.seed}; {training.config.seed} after the ways part"
    precision = "bfloat16 for convolutions, float32 for the rest" if in_bfloat16 else "float32"
    num_train = len(Scenes(training.config.train_split))
    entries = [
        ("networks", "<code>compact</code> and <code>compact_context</code> of the catalog"),
        (
            "training",
            f"{stage.optimizer}, learning rate {stage.learning_rate:g} ({stage.schedule}), batches of "
            f"{stage.batch_size} whole scenes out of {num_train}, {stage.loss.replace('_', ' ')}",
        ),
        ("seeds", seeds),
        ("precision", f"{precision} in training, float32 in the trial"),
        (
            "machine",
            f"{story.both.predictor.device.type}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
            f"Python {platform.python_version()}",
        ),
        ("time", f"{story.seconds:.0f} s for everything"),
    ]
    return (
        facts(entries)
        + "<p>Beside this page lie both networks and a few of the scenes. To go on from here:</p>\n"
        "<pre><code>atrous predict scenes --checkpoint with_context.safetensors\n"
        "atrous train builtin:scenes --network compact_context\n"
        "atrous train FOLDER_WITH_YOUR_DATA</code></pre>\n"
        "<p>F. Yu and V. Koltun, <em>Multi-Scale Context Aggregation by Dilated Convolutions</em>, ICLR 2016, "
        "arXiv 1511.07122.</p>"
    )


def _percent(share: float) -> str:
    return f"<strong>{100 * share:.1f}&nbsp;%</strong>"


def _count(number: int) -> str:
    return "not one" if number == 0 else f"{number:,}"
