"""Design dilation schedules for a wanted receptive field, and say why they are better than the known ones."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from atrous.jobs.progress import Job, Progress

if TYPE_CHECKING:
    from atrous.geometry.schedule import Schedule


@dataclass(frozen=True, slots=True)
class DesignConfig:
    """Find dilations for a wanted receptive field.

    Attributes:
        receptive_field: Pixels of the image (or samples) from the first to the last to look at.
        kernel_size: Taps of every layer along an axis.
        max_layers: Greatest number of layers.
        max_dilation: Greatest dilation; any unless given.
        output_stride: Pixels of the image from one cell that the layers read to the next. What each cell sees
            beyond one pixel comes on top.
        causal: Look back only, as for sound.
        count: Number of schedules to list.
    """

    receptive_field: int
    kernel_size: int = 3
    max_layers: int = 8
    max_dilation: int | None = None
    output_stride: int = 1
    causal: bool = False
    count: int = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A schedule in figures.

    Attributes:
        name: Its rank, or what it is known as.
        dilations: One a layer.
        padding: Cells (before, after) that each layer adds to keep the size.
        num_layers: Number of layers.
        receptive_field: Cells from the first to the last that is seen.
        pixels: The same in pixels of the image.
        seen: Cells that are really read.
        largest_dilation: Of all layers.
        evenness: Share of the field that would count as much if all its cells counted the same.
        why: Why it stands where it does.
    """

    name: str
    dilations: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    num_layers: int
    receptive_field: int
    pixels: int
    seen: int
    largest_dilation: int
    evenness: float
    why: str


@dataclass(frozen=True, slots=True)
class DesignResult:
    """Schedules, best first, and the known ones for the same field.

    Attributes:
        config: What was asked.
        schedules: Designed, without holes.
        known: The exponential and the HDC schedule.
        verdicts: Why the first is better than each known one, a sentence each.
    """

    config: DesignConfig
    schedules: tuple[Row, ...]
    known: tuple[Row, ...]
    verdicts: tuple[str, ...]
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {
            "asked": asdict(self.config),
            "schedules": [asdict(row) for row in self.schedules],
            "known": [asdict(row) for row in self.known],
            "verdicts": list(self.verdicts),
        }

    def to_table(self) -> str:
        """A line a schedule, the known ones below, and why the first is better."""
        rows = [*self.schedules, *self.known]
        shown = [_words(row.dilations) for row in self.schedules]
        shown += [_words(row.dilations, most=12) for row in self.known]
        names, dilations = max(len(row.name) for row in rows), max(len("dilations"), *map(len, shown))
        head = f"{'':<{names}}  {'dilations':<{dilations}}  layers  field   seen  largest  evenness  why"
        lines = [
            f"{row.name:<{names}}  {words:<{dilations}}  {row.num_layers:>6}  {row.receptive_field:>5}  "
            f"{row.seen:>5}  {row.largest_dilation:>7}  {row.evenness:>8.3f}  {row.why}"
            for row, words in zip(rows, shown, strict=True)
        ]
        split = len(self.schedules)
        return "\n".join(
            [self._asked(), "", head, *lines[:split], "", *lines[split:], "", *self.verdicts, "", *FOOT]
        )

    def _asked(self) -> str:
        """What was asked and what is reached, in a line."""
        best, config = self.schedules[0], self.config
        taps = f"kernel {config.kernel_size}"
        if config.causal:
            taps += f", the present and the {best.receptive_field - 1} cells before"
        if config.output_stride == 1:
            reached = f"{config.receptive_field} asked, {best.receptive_field} reached without holes"
        else:
            reached = (
                f"{config.receptive_field} px asked, {best.pixels} px reached without holes: "
                f"{best.receptive_field} cells {config.output_stride} px apart"
            )
        return f"field of {reached}, {taps}"


FOOT = (
    "field: cells from the first to the last that is seen; seen: those that are read, the rest are holes",
    "evenness: share of the field that would count as much if all its cells counted the same; 1 is best",
)


def run(config: DesignConfig) -> Job[DesignResult]:
    """Search; yields progress, returns the schedules.

    Raises:
        GeometryError: If no schedule sees so much, or a value means nothing.
    """
    from atrous.geometry.schedule import design_schedules
    from atrous.geometry.schedule_known import exponential_schedule, hdc_schedule

    yield Progress(0, 1, "search")
    found = design_schedules(**asdict(config))
    best = found[0]
    limits = {
        "kernel_size": config.kernel_size,
        "max_dilation": config.max_dilation,
        "causal": config.causal,
    }
    exponential = exponential_schedule(best.receptive_field, **limits)
    hdc = hdc_schedule(best.receptive_field, **limits)
    stride = config.output_stride
    yield Progress(1, 1, "search")
    return DesignResult(
        config,
        schedules=tuple(
            _row(str(rank), schedule, _place(schedule, found, count=config.count), stride=stride)
            for rank, schedule in enumerate(found, start=1)
        ),
        known=(
            _row("exponential", exponential, "doubled, Yu & Koltun 2016", stride=stride),
            _row("HDC", hdc, "groups of 1, 2, 5, 9, Wang et al. 2018", stride=stride),
        ),
        verdicts=(
            _verdict(best, exponential, "the exponential schedule"),
            _verdict(best, hdc, "the HDC schedule"),
        ),
    )


def _row(name: str, schedule: "Schedule", why: str, *, stride: int) -> Row:
    return Row(
        name=name,
        dilations=schedule.dilations,
        padding=schedule.padding,
        num_layers=schedule.num_layers,
        receptive_field=schedule.receptive_field,
        pixels=1 + (schedule.receptive_field - 1) * stride,
        seen=int(schedule.seen.sum()),
        largest_dilation=max(schedule.dilations),
        evenness=schedule.evenness,
        why=why,
    )


def _place(schedule: "Schedule", found: tuple["Schedule", ...], *, count: int) -> str:
    """Why a designed schedule stands where it does."""
    best = found[0]
    if schedule is best:
        alone = count > 1 and sum(other.num_layers == best.num_layers for other in found) == 1
        return "no other has so few layers" if alone else "fewest layers, and of these the evenest"
    more = schedule.num_layers - best.num_layers
    depth = f"{more} layer{'s' * (more > 1)} more, " if more else ""
    difference = round(schedule.evenness, 3) - round(best.evenness, 3)
    if difference:
        return f"{depth}{'evener' if difference > 0 else 'less even'}"
    return f"{depth}as even{', dilates further' * (max(schedule.dilations) > max(best.dilations))}"


def _verdict(best: "Schedule", other: "Schedule", name: str) -> str:
    """What is better about the first than about a known schedule, and what is worse."""
    if sorted(best.dilations) == sorted(other.dilations):
        return f"The first is {name} itself."
    points = (  # a figure of both, and whether more of it is better
        ("holes", [one.receptive_field - int(one.seen.sum()) for one in (best, other)], False),
        ("layers", [one.num_layers for one in (best, other)], False),
        ("field", [one.receptive_field for one in (best, other)], False),
        ("evenness", [round(one.evenness, 3) for one in (best, other)], True),
        ("largest dilation", [max(one.dilations) for one in (best, other)], False),
    )
    better, worse = (
        ", ".join(
            f"{what} {mine} instead of {theirs}"
            for what, (mine, theirs), more in points
            if mine != theirs and ((mine > theirs) == more) == wanted
        )
        for wanted in (True, False)
    )
    gain = f"Better than {name}: {better}" if better else f"As good as {name}"
    return f"{gain}; the price: {worse}." if worse else f"{gain}."


def _words(dilations: tuple[int, ...], *, most: int | None = None) -> str:
    """Dilations with commas between; of more than `most` only the first."""
    words = ", ".join(map(str, dilations[:most]))
    return words if most is None or len(dilations) <= most else f"{words}, ..."
