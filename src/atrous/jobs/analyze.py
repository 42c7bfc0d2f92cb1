"""How far a network sees, at what stride, centered where, with which holes, at what cost a layer."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from atrous.errors import ConfigError, GeometryError
from atrous.jobs.progress import Job, Progress

if TYPE_CHECKING:
    from atrous.geometry.coverage import Coverage
    from atrous.geometry.graph import SpatialGraph
    from atrous.jobs.analysis import Analysis

PARTS = ("build", "trace", "receptive fields", "coverage", "gridding")


@dataclass(frozen=True, slots=True)
class AnalyzeConfig:
    """Compute what a network sees.

    Attributes:
        network: A name of the catalog, a checkpoint, package.module:callable, torchvision:NAME or timm:NAME.
        backbone: What a network of the catalog stands on, where it can be chosen: vgg16, resnet50, ...
        dilations: Instead of a network: the dilations of a plain stack, 1,1,2,4,8,16,1.
        kernel_size: Of the layers of that stack.
        input_size: Pixels along each axis of the example, or one number for all; picked unless given.
        layer: Path of a module to ask about, instead of the network's output.
        save_figure: PNG of the receptive field over depth and, where there is one, of the coverage.
        max_memory: GiB that exact coverage may use.
    """

    network: Annotated[Positional[str], arg(metavar="NETWORK")] = ""
    backbone: str = ""
    dilations: str = ""
    kernel_size: int = 3
    input_size: tuple[int, ...] = ()
    layer: str | None = None
    save_figure: Path | None = None
    max_memory: float = 2.0


def run(config: AnalyzeConfig) -> "Job[Analysis]":
    """Trace and compute; yields progress, returns the analysis.

    Raises:
        ConfigError: If there is no such network, or both or neither of network and dilations are given.
        GeometryError: If the network cannot be traced.
        CheckpointError: If a checkpoint cannot be read.
        OutputError: If the picture cannot be written.
    """
    from atrous.geometry.gridding import find_gridding
    from atrous.geometry.receptive_field import receptive_field
    from atrous.jobs.analysis import Analysis

    if bool(config.network) == bool(config.dilations):
        raise ConfigError("give either a NETWORK or --dilations; atrous analyze --help shows both")
    yield Progress(0, len(PARTS), PARTS[0])
    graph, shape = _graph(config)
    yield Progress(2, len(PARTS), PARTS[2])
    field = receptive_field(graph, layer=config.layer)
    yield Progress(3, len(PARTS), PARTS[3])
    seen, reason = _coverage(graph, config)
    yield Progress(4, len(PARTS), PARTS[4])
    gridding = find_gridding(graph, layer=config.layer) if seen else None  # it takes as much memory
    dilations = parse_dilations(config.dilations) if config.dilations else ()
    analysis = Analysis(
        name=" on ".join(filter(None, (config.network, config.backbone))) or f"dilations {config.dilations}",
        shape=shape,
        field=field,
        coverage=seen,
        no_coverage=reason,
        gridding=gridding,
        dilations=dilations,
        kernel_size=config.kernel_size,
    )
    if config.save_figure:
        _draw(analysis, config.save_figure)
    yield Progress(len(PARTS), len(PARTS), PARTS[4])
    return analysis


def parse_dilations(text: str) -> tuple[int, ...]:
    """The numbers of "1,1,2,4" or "1 1 2 4".

    Raises:
        ConfigError: If they are no whole numbers from 1 on.
    """
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ConfigError(f'dilations "{text}" are no whole numbers from 1 on; write them as 1,1,2,4')
    return tuple(int(word) for word in words)


def _graph(config: AnalyzeConfig) -> "tuple[SpatialGraph, tuple[int, ...]]":
    """The spatial graph, and the shape of the example; () for a planned stack."""
    from atrous.geometry.graph import Layer
    from atrous.geometry.trace import trace

    if config.dilations:
        dilations = parse_dilations(config.dilations)
        return trace([Layer(config.kernel_size, dilation=dilation) for dilation in dilations]), ()
    from atrous.models.named import example_of, weightless_network

    network = weightless_network(config.network, backbone=config.backbone)
    example = example_of(network, config.input_size)
    return trace(network, example), tuple(example.shape)


def _coverage(graph: "SpatialGraph", config: AnalyzeConfig) -> "tuple[Coverage | None, str]":
    """The coverage, or why there is none."""
    from atrous.geometry.coverage import coverage

    try:
        return coverage(graph, layer=config.layer, max_memory=config.max_memory), ""
    except GeometryError as error:
        return None, str(error)


def _draw(analysis: "Analysis", path: Path) -> None:
    """The receptive field over depth, and below it what of it is seen."""
    from atrous.figures.canvas import save_figures
    from atrous.figures.coverage import draw_coverage
    from atrous.figures.depth import draw_field_growth

    figures = [draw_field_growth({analysis.name: analysis.field})]
    if analysis.coverage is not None:
        figures.append(
            draw_coverage({analysis.name: analysis.coverage}, causes={analysis.name: analysis.gridding})
        )
    save_figures(path, figures)
