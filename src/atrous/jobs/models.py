"""List the catalog: what each network costs and sees."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from atrous.errors import ConfigError
from atrous.jobs.progress import Job, Progress

if TYPE_CHECKING:
    from atrous.jobs.model_details import Details

SIZES = {1: (16_000,), 2: (512, 512), 3: (64, 64, 64)}  # samples, px, voxels to count multiply-adds on


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """List the catalog.

    Attributes:
        networks: Only these; all unless given.
        backbone: What they stand on, where it can be chosen: vgg16, resnet50, ...; their own unless given.
        num_classes: Number of labels to build for; unless given, each network's own.
        details: Also trace every network: what it covers of its field, and where neighbors stop mixing.
    """

    networks: Annotated[Positional[tuple[str, ...]], arg(metavar="[NETWORK ...]")] = ()
    backbone: str = ""
    num_classes: int | None = None
    details: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A network in figures.

    Attributes:
        name: In the catalog.
        num_classes: Labels that it was counted for.
        parameters: Trained values.
        multiply_adds: Of one image of 512 x 512 pixels, margin included, a volume of 64 x 64 x 64 voxels,
            or a second of sound, 16,000 samples.
        output_stride: Pixels a cell.
        receptive_field: Pixels that a cell sees, per axis, beside what sees everything.
        sees_all: Whether a cell also sees the whole image.
        margin: Reflected pixels that each side of the image gets.
        summary: In a sentence.
        details: From its spatial graph, where they were asked for.
    """

    name: str
    num_classes: int
    parameters: int
    multiply_adds: int
    output_stride: int
    receptive_field: int
    sees_all: bool
    margin: int
    summary: str
    details: "Details | None" = None


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
        width = max(len("network"), *(len(entry.name) for entry in self.entries)) + 2
        detailed = any(entry.details for entry in self.entries)
        head = (
            f"{'network':<{width}}{'classes':>7}{'parameters':>13}{'GMAC':>8}{'stride':>8}{'field':>10}"
            f"{'margin':>8}{'covered':>9}{'mixing':>8}" + ("  gridded" if detailed else "  what it is")
        )
        if not detailed:
            head = head.replace(f"{'covered':>9}{'mixing':>8}", "")
        lines = [_line(entry, width) for entry in self.entries]
        return "\n".join([head, *lines, "", *_explained(detailed=detailed)])


def _line(entry: Entry, width: int) -> str:
    field = f"{entry.receptive_field}{'+all' if entry.sees_all else ''}"
    figures = (
        f"{entry.name:<{width}}{entry.num_classes:>7}{entry.parameters:>13,}{entry.multiply_adds / 1e9:>8.1f}"
        f"{entry.output_stride:>8}{field:>10}{entry.margin:>8}"
    )
    if entry.details is None:
        return f"{figures}  {entry.summary}"
    seen, mixing = f"{100 * entry.details.coverage:.1f}%", f"{100 * entry.details.mixing:.1f}%"
    return f"{figures}{seen:>9}{mixing:>8}  {entry.details.gridded}".rstrip()


def _explained(*, detailed: bool) -> list[str]:
    """What the columns are."""
    lines = [
        "GMAC: billions of multiply-adds for 512 x 512 px (volumes: 64 x 64 x 64 voxels; sounds: 16,000 "
        "samples); stride, field, margin in px (voxels, samples); +all: sees the whole image beside"
    ]
    if detailed:
        lines.append(
            "covered: share of the field's pixels that a cell depends on; mixing: of the map after the named "
            "layer, the share of cells that one output reads, its neighbors the others; 100%: no gridding"
        )
    return lines


def run(config: ModelsConfig) -> Job[ModelsResult]:
    """Count; yields progress, returns the catalog.

    Raises:
        ConfigError: If the number of classes is not positive, or there is no such network or backbone.
    """
    import torch

    from atrous.config import suggestion
    from atrous.jobs.model_details import details_of
    from atrous.jobs.network_cost import example_for, multiply_adds
    from atrous.models.catalog import CATALOG, build_network

    for name in config.networks:
        if name not in CATALOG:
            raise ConfigError(f'no network "{name}" in the catalog; {suggestion(name, CATALOG)}')
    if config.backbone and not config.networks:
        raise ConfigError(
            f"backbone {config.backbone} is not for every network; name those to be built on it, as fcn8s"
        )
    names = config.networks or tuple(CATALOG)
    entries: list[Entry] = []
    for done, name in enumerate(names, start=1):
        with torch.device("meta"):
            network = build_network(name, num_classes=config.num_classes, backbone=config.backbone)
        size = SIZES[network.num_axes]
        entries.append(
            Entry(
                name=" on ".join(filter(None, (name, config.backbone))),
                num_classes=network.num_classes,
                parameters=network.num_parameters(),
                multiply_adds=multiply_adds(network, image_size=size),
                output_stride=network.output_stride,
                receptive_field=network.receptive_field,
                sees_all=network.geometry.is_global,
                margin=network.margin,
                summary=(CATALOG[name].__doc__ or "").splitlines()[0].rstrip("."),
                details=details_of(network, example_for(network, size)) if config.details else None,
            )
        )
        yield Progress(done, len(names), "trace" if config.details else "count")
    return ModelsResult(tuple(entries))
