"""The table of a comparison, as text and as Markdown."""

from collections.abc import Sequence

from atrous.jobs.standings import Spread, Standing

HEADS = ("network", "mean IoU", "boundary F", "parameters", "GMAC", "stride", "field", "images/s", "MB")
NOTHING = "-"


def text_table(standings: Sequence[Standing], notes: Sequence[str]) -> str:
    """Columns apart by spaces; then failures and notes, a line each."""
    rows = [HEADS, *map(_cells, standings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *_failures(standings), *notes])


def markdown_table(standings: Sequence[Standing], notes: Sequence[str]) -> str:
    """A table for a page; then failures and notes as a list."""
    rows = [HEADS, ("---", *("---:" for _ in HEADS[1:])), *map(_cells, standings)]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([*lines, "", *(f"- {line}" for line in (*_failures(standings), *notes))])


def _cells(standing: Standing) -> tuple[str, ...]:
    cost, speed = standing.cost, standing.speed
    counted = (NOTHING,) * 4
    if cost:
        field = f"{cost.field}{' +all' if cost.sees_all else ''}"
        counted = (f"{cost.parameters:,}", _short(cost.multiply_adds / 1e9), str(cost.output_stride), field)
    measured = (NOTHING,) * 2
    if speed:
        memory = f"{speed.peak_memory / 1e6:.0f}" if speed.peak_memory else NOTHING
        measured = (_short(speed.images_per_second), memory)
    scores = (_percent(standing.mean_iou), _percent(standing.boundary_f_score))
    return (standing.name, *scores, *counted, *measured)


def _failures(standings: Sequence[Standing]) -> list[str]:
    return [f"{standing.name} failed: {standing.reason}" for standing in standings if standing.reason]


def _percent(spread: Spread | None) -> str:
    if spread is None:
        return NOTHING
    mean, least, most = (f"{100 * value:.1f}" for value in (spread.mean, spread.least, spread.most))
    return mean if least == most else f"{mean} ({least}-{most})"


def _short(value: float) -> str:
    """Three digits that say something."""
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"
