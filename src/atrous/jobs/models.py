"""List the catalog: what each network costs and sees."""

from dataclasses import asdict, dataclass
from typing import Any

from atrous.jobs.progress import Job, Progress

SIDE = 512  # px of the image that multiply-adds are counted on


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """List the catalog.

    Attributes:
        num_classes: Number of labels to build for; unless given, each network's own.
    """

    num_classes: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A network in figures.

    Attributes:
        name: In the catalog.
        num_classes: Labels that it was counted for.
        parameters: Trained values.
        multiply_adds: Of one image of 512 x 512 pixels, margin included.
        output_stride: Pixels a cell.
        receptive_field: Pixels that a cell sees, per axis.
        margin: Reflected pixels that each side of the image gets.
        summary: In a sentence.
    """

    name: str
    num_classes: int
    parameters: int
    multiply_adds: int
    output_stride: int
    receptive_field: int
    margin: int
    summary: str


@dataclass(frozen=True, slots=True)
class ModelsResult:
    """The catalog."""

    entries: tuple[Entry, ...]
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Names to figures, ready for JSON."""
        return {entry.name: asdict(entry) for entry in self.entries}

    def to_table(self) -> str:
        """A line a network."""
        head = (
            f"{'network':<22}{'classes':>8}{'parameters':>13}{'GMAC':>8}{'stride':>8}{'field':>7}{'margin':>8}"
            "  what it is"
        )
        lines = [
            f"{entry.name:<22}{entry.num_classes:>8}{entry.parameters:>13,}{entry.multiply_adds / 1e9:>8.1f}"
            f"{entry.output_stride:>8}{entry.receptive_field:>7}{entry.margin:>8}  {entry.summary}"
            for entry in self.entries
        ]
        foot = f"GMAC: billions of multiply-adds for {SIDE} x {SIDE} px; stride, field, margin in px"
        return "\n".join([head, *lines, "", foot])


def run(config: ModelsConfig) -> Job[ModelsResult]:
    """Count; yields progress, returns the catalog.

    Raises:
        ConfigError: If the number of classes is not positive.
    """
    import torch

    from atrous.jobs.network_cost import multiply_adds
    from atrous.models.catalog import CATALOG, build_network

    entries: list[Entry] = []
    for done, (name, builder) in enumerate(CATALOG.items(), start=1):
        with torch.device("meta"):
            network = build_network(name, num_classes=config.num_classes)
        entries.append(
            Entry(
                name=name,
                num_classes=network.num_classes,
                parameters=network.num_parameters(),
                multiply_adds=multiply_adds(network, image_size=(SIDE, SIDE)),
                output_stride=network.output_stride,
                receptive_field=network.receptive_field,
                margin=network.margin,
                summary=(builder.__doc__ or "").splitlines()[0].rstrip("."),
            )
        )
        yield Progress(done, len(CATALOG), "count")
    return ModelsResult(tuple(entries))
