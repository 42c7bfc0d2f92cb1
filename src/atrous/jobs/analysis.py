"""What `atrous analyze` found, as a table, as JSON and in plain words."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from atrous.geometry.axis import PLACES, Global
from atrous.geometry.coverage import Coverage
from atrous.geometry.graph import Node
from atrous.geometry.gridding import Gridding
from atrous.geometry.receptive_field import ReceptiveField

FEW = 3  # examples of a kind that a sentence names


@dataclass(frozen=True, slots=True)
class Analysis:
    """The geometry of a network.

    Attributes:
        name: Of the network, as given.
        shape: Of the example (1, c, *spatial); empty for a planned stack.
        field: The receptive field of the layer asked about, with those of all layers.
        coverage: Which pixels of it are seen; None where that was too much.
        no_coverage: Why.
        gridding: Where neighbors stop mixing; None if nowhere.
        dilations: Of a planned stack.
        kernel_size: Of its layers.
    """

    name: str
    shape: tuple[int, ...]
    field: ReceptiveField
    coverage: Coverage | None
    no_coverage: str
    gridding: Gridding | None
    dilations: tuple[int, ...] = ()
    kernel_size: int = 3
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """All figures by name, ready for JSON; an infinite size is null."""
        seen, gridding = self.coverage, self.gridding
        return {
            "network": self.name,
            "input_shape": list(self.shape),
            **_field_dict(self.field),
            "parameters": sum(layer.node.num_parameters for layer in self.field.layers),
            "multiply_adds": sum(layer.node.multiply_adds for layer in self.field.layers),
            "coverage": None
            if seen is None
            else {
                "fraction": seen.fraction,
                "holes": len(seen.holes),
                "axes": [seen.axis(axis).fraction for axis in range(seen.seen.ndim)],
            },
            "gridding": None
            if gridding is None
            else {
                "node": gridding.node.label,
                "culprit": gridding.culprit.label,
                "fraction": gridding.fraction,
                "grids": list(gridding.grids),
                "explanation": gridding.explain(),
            },
            "misaligned": [
                {"node": layer.node.label, "pixels": layer.misalignment} for layer in self._misaligned()
            ],
            "layers": [
                {
                    **_field_dict(layer),
                    "parameters": layer.node.num_parameters,
                    "multiply_adds": layer.node.multiply_adds,
                }
                for layer in self.field.layers
            ],
        }

    def to_table(self) -> str:
        """A line a layer, and below it what it means."""
        table = _growth_table(self) if self.dilations else _layer_table(self.field.layers)
        return "\n".join([*table, "", *self.sentences()])

    def sentences(self) -> Iterator[str]:
        """What was found, in plain words."""
        yield from _sight(self)
        if self.coverage is None:
            yield f"Coverage was not computed: {self.no_coverage}"
        else:
            seen = self.coverage
            holes = f"{len(seen.holes):,} holes" if len(seen.holes) else "no holes"
            yield f"Coverage: {100 * seen.fraction:.1f}% of its receptive field is seen, {holes}."
        if self.gridding:
            where = "inside the network" if self.gridding.node.inputs else "at the input"
            yield f"Gridding {where}: {self.gridding.explain()}"
        elif self.coverage is not None and len(self.coverage.holes):
            yield "Along each axis nothing is skipped; the holes lie where branches of different shape end."
        if apart := self._misaligned():
            _, unit = PLACES[len(self.field.stride)]
            named = ", ".join(f"{layer.node.label} by {layer.misalignment:g} {unit}" for layer in apart[:FEW])
            more = f" and at {len(apart) - FEW} more places" if len(apart) > FEW else ""
            yield f"Misaligned: branches with different centers meet at {named}{more}."

    def _misaligned(self) -> list[ReceptiveField]:
        return [layer for layer in self.field.layers if layer.misalignment]


def _sight(analysis: Analysis) -> Iterator[str]:
    """How far it sees."""
    field = analysis.field
    one, unit = PLACES[len(field.stride)]
    local = f"{_times(field.local)} {unit} at stride {_times(field.stride)}"
    lines = [f"{_plain(c)} + {s} r" for c, s in zip(field.center, field.stride, strict=True)]
    center = lines[0] if len(set(lines)) == 1 else f"({', '.join(lines)})"
    if any(field.sees_all):
        reasons = _global_reasons(field.layers)
        yield f"Receptive field: the whole input, through {reasons}."
        yield f"Without that: {local}; cell r is centered on {one} {center}."
    else:
        yield f"Receptive field: {local}; cell r is centered on {one} {center}."
    layers = field.layers
    parameters = sum(layer.node.num_parameters for layer in layers)
    if parameters:
        billions = sum(layer.node.multiply_adds for layer in layers) / 1e9
        size = _times(analysis.shape[2:])
        yield f"Cost: {parameters:,} parameters, {billions:.2f} billion multiply-adds at {size} {unit}."


def _global_reasons(layers: tuple[ReceptiveField, ...]) -> str:
    """Which operators see everything: the first of each kind, and how many there are."""
    found: dict[str, list[str]] = {}
    for layer in layers:
        for reason in {axis.reason for axis in layer.node.axes if isinstance(axis, Global)}:
            found.setdefault(reason, []).append(layer.node.label)
    return ", ".join(
        f"{reason} ({places[0]}{f' and {len(places) - 1} more' if len(places) > 1 else ''})"
        for reason, places in found.items()
    )


def _layer_table(layers: tuple[ReceptiveField, ...]) -> list[str]:
    """A line a layer that moves, widens or costs."""
    shown = [layer for layer in layers if not layer.node.is_pointwise or layer.node.multiply_adds]
    rows = [("layer", "operator", "cells", "field", "stride", "center", "parameters", "MMAC")]
    for layer in shown:
        node = layer.node
        finite = "all" if any(layer.sees_all) else _times(layer.size)
        cells = _times(node.size) if node.is_map else "-"
        where = _times(layer.stride), _times(layer.center)
        cost = f"{node.num_parameters:,}", f"{node.multiply_adds / 1e6:,.1f}"
        rows.append((node.label, _operator(node), cells, finite, *where, *cost))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    _, unit = PLACES[len(layers[-1].stride)]
    return [*lines, f"field, stride, center in {unit} of the input; MMAC: millions of multiply-adds"]


def _growth_table(analysis: Analysis) -> list[str]:
    """Standard layers against the dilated ones: what each number of layers sees, with the same weights."""
    kernel, dilations = analysis.kernel_size, analysis.dilations
    lines = [f"{'layers':>6}{'dilation':>10}{'field':>8}{'standard field':>16}{'weights':>9}"]
    field = 1
    for number, dilation in enumerate(dilations, start=1):
        field += (kernel - 1) * dilation
        lines.append(
            f"{number:>6}{dilation:>10}{field:>8}{1 + (kernel - 1) * number:>16}{kernel**2 * number:>9}"
        )
    needed = math.ceil((field - 1) / (kernel - 1)) if kernel > 1 else len(dilations)
    return [
        *lines,
        f"weights of the {kernel} x {kernel} kernels for each pair of channels, the same for both",
        f"To see {field} px takes {needed} standard layers and {kernel**2 * needed} weights, "
        f"or these {len(dilations)} and {kernel**2 * len(dilations)}.",
    ]


def _field_dict(field: ReceptiveField) -> dict[str, Any]:
    return {
        "layer": field.node.label,
        "operator": field.node.operator,
        "cells": list(field.node.size),
        "receptive_field": [None if math.isinf(size) else int(size) for size in field.size],
        "local_receptive_field": list(field.local),
        "stride": [float(stride) for stride in field.stride],
        "start": [None if math.isinf(start) else int(start) for start in field.start],
        "center": list(field.center),
    }


def _operator(node: Node) -> str:
    """The operator with what is unusual about it: "conv2d d2"."""
    words = [node.operator]
    for letter, name in (("s", "stride"), ("d", "dilation")):
        values = tuple(getattr(axis, name, 1) for axis in node.axes)
        if set(values) != {1}:
            words.append(f"{letter}{_times(values)}")
    return " ".join(words)


def _times(values: tuple[Any, ...]) -> str:
    """427 where all axes agree, 427x35 where not."""
    words = [_plain(value) for value in values]
    return words[0] if len(set(words)) == 1 else "x".join(words)


def _plain(value: Any) -> str:
    return "inf" if value == math.inf else f"{float(value):.10g}"
