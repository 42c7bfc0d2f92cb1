"""The tab "Designer": at every keystroke what a stack of dilations sees, and a better one for its field."""

import base64
import html
from dataclasses import dataclass

import gradio as gr

from atrous.errors import AtrousError, ConfigError
from atrous.figures.canvas import to_png
from atrous.figures.coverage import draw_coverage
from atrous.geometry.coverage import Coverage, coverage
from atrous.geometry.graph import Layer
from atrous.geometry.schedule import MOST_CELLS, MOST_LAYERS, MOST_TAPS, Schedule, design_schedules
from atrous.geometry.schedule_known import explain_schedule
from atrous.jobs.analyze import parse_dilations

FIRST = "1, 2, 9"  # has holes, and a better schedule without
LARGE = 512  # cells of a field, up to which the picture is a plane and not a line


def add_designer() -> None:
    """Add the tab's parts to the page that is being built."""
    gr.HTML(
        '<div class="at-design"><p>Dilations of the layers of a plain stack, from the input on. The picture '
        "shows what one output reads of its receptive field; white is never read.</p></div>"
    )
    with gr.Row():
        dilations = gr.Textbox(FIRST, label="Dilations", placeholder="1, 2, 4, 8", scale=4, max_length=400)
        kernel_size = gr.Number(3, label="Kernel size", precision=0, minimum=2, maximum=MOST_TAPS, scale=1)
        better = gr.Button("Use the better one", variant="primary", scale=1, min_width=200)
    found = gr.HTML(describe(FIRST, 3), elem_id="design")
    gr.on(
        [dilations.change, kernel_size.change],
        describe,
        [dilations, kernel_size],
        found,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    better.click(
        improve, [dilations, kernel_size], dilations, show_progress="hidden", api_visibility="private"
    )


@dataclass(frozen=True, slots=True)
class Design:
    """A stack as typed, and the best one of the same field; None where there is none."""

    own: Schedule
    best: Schedule | None


def improve(text: str, kernel_size: float | None) -> str:
    """The dilations of the better schedule, as one types them; what was typed, where there is none."""
    try:
        best = design_of(text, kernel_size).best
    except AtrousError:
        return text
    return text if best is None else ", ".join(map(str, best.dilations))


def describe(text: str, kernel_size: float | None) -> str:
    """Figures, sentences and a picture, as HTML; of what is no schedule, a sentence that says why."""
    try:
        design = design_of(text, kernel_size)
        return f'<div class="at-design">{_figures(design)}{_sentences(design)}{_picture(design)}</div>'
    except AtrousError as error:
        sentence = html.escape(str(error))
        sentence = f"{sentence[0].upper()}{sentence[1:]}."
        return f'<div class="at-design"><p class="at-alert" role="alert">{sentence}</p></div>'


def design_of(text: str, kernel_size: float | None) -> Design:
    """What was typed, and the best schedule that sees as much.

    Raises:
        ConfigError: If it is no schedule, or one too large to draw.
        GeometryError: If a value means nothing.
    """
    if not kernel_size or not 2 <= kernel_size <= MOST_TAPS:
        raise ConfigError(f"kernel size {kernel_size or 'empty'} is impossible; give 2 to {MOST_TAPS}")
    own = Schedule(parse_dilations(text), kernel_size=int(kernel_size))
    if own.num_layers > MOST_LAYERS or own.receptive_field > MOST_CELLS:
        raise ConfigError(
            f"{own.num_layers} layers that see {own.receptive_field:,} cells are more than is drawn here; "
            f"give up to {MOST_LAYERS} layers and {MOST_CELLS:,} cells"
        )
    best = design_schedules(
        receptive_field=own.receptive_field, kernel_size=own.kernel_size, max_layers=MOST_LAYERS, count=1
    )
    return Design(own, best[0] if best else None)


def _figures(design: Design) -> str:
    own = design.own
    holes = own.receptive_field - int(own.seen.sum())
    figures = (
        ("receptive field", f"{own.receptive_field} cells", False),
        ("of an axis read", f"{100 * own.fraction:.1f}%", holes > 0),
        ("holes along an axis", str(holes), holes > 0),
        ("evenness", f"{own.evenness:.3f}", False),
        ("layers", str(own.num_layers), False),
    )
    cells = "".join(
        f'<div class="at-number{" at-bad" if is_bad else ""}"><b>{value}</b><span>{name}</span></div>'
        for name, value, is_bad in figures
    )
    return f'<div class="at-numbers">{cells}</div>'


def _sentences(design: Design) -> str:
    own, best = design.own, design.best
    told = f"<p>{html.escape(explain_schedule(own.dilations, kernel_size=own.kernel_size))}.</p>"
    if best is None or not is_better(best, own):
        return f"{told}<p>No schedule without holes sees as much with fewer layers or more evenly.</p>"
    layers = f"in {best.num_layers} layer{'s' * (best.num_layers > 1)}"
    if best.num_layers != own.num_layers:
        layers += f" instead of {own.num_layers}"
    words = ", ".join(map(str, best.dilations))
    return (
        f"{told}<p>Better: <code>{words}</code> sees {best.receptive_field} cells without holes {layers}, "
        f"evenness {best.evenness:.3f} instead of {own.evenness:.3f}.</p>"
    )


def is_better(best: Schedule, own: Schedule) -> bool:
    """Whether to change to a schedule without holes: own holes, fewer layers, or as many and evener."""
    if own.fraction < 1 or best.num_layers < own.num_layers:
        return True
    return best.num_layers == own.num_layers and best.evenness > own.evenness + 5e-4


def _picture(design: Design) -> str:
    own, best = design.own, design.best
    shown = {_name(own): _coverage(own)}
    if best is not None and is_better(best, own):
        shown[_name(best)] = _coverage(best)
    png = base64.b64encode(to_png(draw_coverage(shown))).decode()
    return f'<img src="data:image/png;base64,{png}" alt="Which cells one output reads">'


def _coverage(schedule: Schedule) -> Coverage:
    rank = 2 if schedule.receptive_field <= LARGE else 1
    return coverage(
        [Layer((schedule.kernel_size,) * rank, dilation=dilation) for dilation in schedule.dilations]
    )


def _name(schedule: Schedule) -> str:
    words = ", ".join(map(str, schedule.dilations[:16]))
    return words if schedule.num_layers <= 16 else f"{words}, ..."
