"""Receptive fields over depth, as numbers: the layers of a network, numbered, and what each sees."""

from collections.abc import Iterator
from dataclasses import dataclass

from atrous.geometry.axis import AxisMap, Global, Window
from atrous.geometry.receptive_field import ReceptiveField


@dataclass(frozen=True, slots=True)
class Growth:
    """The field of a layer, and of those that it depends on by their number; number 0 is the input.

    Attributes:
        field: Of the layer asked about.
        layers: Number and field of each layer that reads several cells or skips some.
        all_from: Number of the layer after which a path sees everything, as through a global mean; None if
            none does.
    """

    field: ReceptiveField
    layers: tuple[tuple[int, ReceptiveField], ...]
    all_from: int | None

    @property
    def widest(self) -> tuple[ReceptiveField, ...]:
        """For each number the field of the layer that sees farthest."""
        widest: dict[int, ReceptiveField] = {}
        for number, field in self.layers:
            if number not in widest or pixels(field) > pixels(widest[number]):
                widest[number] = field
        return tuple(widest[number] for number in sorted(widest))

    @property
    def strides(self) -> dict[int, str]:
        """The stride by the number of the layer, where it is another than before."""
        strides = [str(max(field.stride)) for field in self.widest]
        return {
            number: strides[number]
            for number in range(1, len(strides))
            if strides[number] != strides[number - 1]
        }


def grow(field: ReceptiveField) -> Growth:
    """The layers that the asked one depends on, each numbered along the longest path to it."""
    numbers: dict[str, int] = {}
    layers, sees_all = [], []
    for before in _ancestors(field):
        is_step = any(_is_step(axis) for axis in before.node.axes)
        number = max((numbers[name] for name in before.node.inputs), default=0) + is_step
        numbers[before.node.name] = number
        if is_step or not before.node.inputs:
            layers.append((number, before))
        if any(before.sees_all):
            sees_all.append(number)
    return Growth(field, tuple(layers), min(sees_all, default=None))


def pixels(field: ReceptiveField) -> int:
    """How far a layer sees along its widest axis, on paths that do not see everything."""
    return max(field.local)


def _ancestors(field: ReceptiveField) -> Iterator[ReceptiveField]:
    """The layer and all that it depends on, in running order."""
    wanted = {field.node.name}
    for layer in reversed(field.layers):
        if layer.node.name in wanted:
            wanted.update(layer.node.inputs)
    return (layer for layer in field.layers if layer.node.name in wanted)


def _is_step(axis: AxisMap) -> bool:
    """Whether an operator reads several cells or skips some; to see everything is no step of growth."""
    is_pad = isinstance(axis, Window) and axis.kernel_size == axis.stride == 1
    return not is_pad and not isinstance(axis, Global)
