"""Foreign tensors onto the parameters of a network, with a line of report for each of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

from torch import Tensor

Status = Literal["used", "unused", "missing", "wrong shape", "not finite"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one tensor of a file, or of one parameter that the file should have.

    Attributes:
        source: The tensor's name in the file.
        target: The parameter's name; empty where the tensor stands for none.
        shape: In the file; of the parameter where the tensor is missing.
        status: What became of it; "not finite" means that it holds NaN or infinite values.
    """

    source: str
    target: str
    shape: tuple[int, ...]
    status: Status


@dataclass(frozen=True, slots=True)
class Fitted:
    """Parameters found in a file, and the report.

    Attributes:
        tensors: By the parameter's name, in the parameter's shape.
        lines: One for every tensor of the file, then one for every parameter that it lacks.
    """

    tensors: dict[str, Tensor]
    lines: tuple[Line, ...]

    @property
    def complete(self) -> bool:
        """Whether every parameter was found, in its shape and with finite values."""
        return all(line.status in ("used", "unused") for line in self.lines)


def fit(
    given: Mapping[str, Tensor], *, names: Mapping[str, str], shapes: Mapping[str, Sequence[int]]
) -> Fitted:
    """The tensors of a file that a network has parameters for.

    A shape fits if it differs in leading ones only (Caffe once stored four dimensions always) or if all
    dimensions but the first are flattened (an inner product that became a convolution).

    Args:
        given: The file's tensors by name.
        names: The file's names to the parameters'.
        shapes: Of every parameter that is wanted.
    """
    tensors: dict[str, Tensor] = {}
    lines: list[Line] = []
    for source, tensor in given.items():
        target, shape = names.get(source, ""), tuple(tensor.shape)
        if target not in shapes:
            lines.append(Line(source, "", shape, "unused"))
        elif not tensor.isfinite().all():
            lines.append(Line(source, target, shape, "not finite"))
        elif _fits(shape, tuple(shapes[target])):
            tensors[target] = tensor.reshape(tuple(shapes[target]))
            lines.append(Line(source, target, shape, "used"))
        else:
            lines.append(Line(source, target, shape, "wrong shape"))
    sources = {target: source for source, target in names.items()}
    lines += [
        Line(sources[target], target, tuple(shape), "missing")
        for target, shape in shapes.items()
        if sources[target] not in given
    ]
    return Fitted(tensors, tuple(lines))


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    shape, wanted = _without_leading_ones(shape), _without_leading_ones(wanted)
    return shape == wanted or (len(shape) == 2 and shape == (*wanted[:1], prod(wanted[1:])))


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    while shape[:1] == (1,):
        shape = shape[1:]
    return shape
