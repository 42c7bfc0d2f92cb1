"""The spatial graph: every operator of a network, what it reads along each axis, and whose module it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from atrous.errors import GeometryError
from atrous.geometry.axis import POINTWISE, AxisMap, Window, same_padding


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a network.

    Attributes:
        name: Unique in its graph; for a traced network the name in the exported program.
        operator: `conv2d`, `max_pool2d`, `add` ...; `input` for the network's input.
        module: Path of the module that calls it, `layer4.2.conv2`; empty for the network itself.
        inputs: Names of the nodes it reads.
        axes: What it reads along each spatial axis, the same in all of its inputs.
        size: Cells along each axis; empty where unknown, as for a list of layers.
        shape: Of the whole tensor; empty where unknown.
        is_map: Whether the value has spatial axes; false for a vector, as after global pooling.
        line: File, line and source text of the call, where known.
        num_parameters: Weights and biases that it is the first to read.
        multiply_adds: Multiplications of one input, each with its addition.
    """

    name: str
    operator: str
    module: str
    inputs: tuple[str, ...]
    axes: tuple[AxisMap, ...]
    size: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    is_map: bool = True
    line: str = ""
    num_parameters: int = 0
    multiply_adds: int = 0

    @property
    def label(self) -> str:
        """The name that a reader knows it by: its module's path, or the operator's name."""
        return self.module or self.name

    @property
    def is_pointwise(self) -> bool:
        """Whether every output reads only the cell at its own place."""
        return all(axis == POINTWISE for axis in self.axes)


@dataclass(frozen=True, slots=True)
class SpatialGraph:
    """The operators of a network in the order they run; the first is the input.

    Attributes:
        nodes: All of them; a node reads only nodes before it.
        outputs: Names of the nodes that the network returns.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    _by_name: dict[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {node.name: node for node in self.nodes})

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.nodes[0].axes)

    @property
    def output(self) -> Node:
        """The node that the network returns, the first where it returns several."""
        return self[self.outputs[0]]

    def find(self, layer: str) -> Node:
        """The last node of the module at path `layer`, or the node of that name.

        Raises:
            GeometryError: If the graph has neither.
        """
        for node in reversed(self.nodes):
            if layer in (node.module, node.name) or node.module.startswith(f"{layer}."):
                return node
        known = list(dict.fromkeys(node.label for node in self.nodes if not node.is_pointwise))
        shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        raise GeometryError(f'the network has no layer "{layer}"; it has {shown or "no spatial layers"}')


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or pool of a network that is only planned; one number, or one an axis.

    Attributes:
        kernel_size: Taps.
        stride: Input cells from one output to the next.
        dilation: Input cells from one tap to the next.
        padding: Cells added on both sides; `same` keeps the size at stride 1.
    """

    kernel_size: int | tuple[int, ...] = 3
    stride: int | tuple[int, ...] = 1
    dilation: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] | str = "same"

    def __post_init__(self) -> None:
        if isinstance(self.padding, str) and self.padding != "same":
            raise GeometryError(f"padding {self.padding!r} is unknown; give 'same' or numbers from 0 on")
        if not isinstance(self.padding, str) and min(_per_axis(self.padding, 1)) < 0:
            raise GeometryError(f"padding {self.padding} is negative; give 0 or more")
        ranks = {len(value) for value in self._values() if isinstance(value, tuple)}
        if len(ranks) > 1:
            raise GeometryError(f"{self} speaks of {sorted(ranks)} axes; give one number, or one an axis")
        self.axes(self.rank or 1)

    @property
    def rank(self) -> int:
        """Number of axes that it speaks of; 0 if it fits any."""
        return max((len(value) for value in self._values() if isinstance(value, tuple)), default=0)

    def axes(self, rank: int) -> tuple[Window, ...]:
        """What it reads along each of `rank` axes."""
        kernel_size, stride, dilation = (
            _per_axis(value, rank) for value in (self.kernel_size, self.stride, self.dilation)
        )
        if isinstance(self.padding, str):
            padding = tuple(same_padding(k, d) for k, d in zip(kernel_size, dilation, strict=True))
        else:
            padding = tuple((zeros, zeros) for zeros in _per_axis(self.padding, rank))
        return tuple(Window(*axis) for axis in zip(kernel_size, stride, dilation, padding, strict=True))

    def _values(self) -> tuple[int | str | tuple[int, ...], ...]:
        return self.kernel_size, self.stride, self.dilation, self.padding


def graph_of_layers(layers: Sequence[int | tuple[int, ...] | Layer]) -> SpatialGraph:
    """The graph of a plain stack, one layer after the other.

    Args:
        layers: From the input on; a bare number, or one an axis, is the dilation of a layer of kernel size 3
            that keeps the size.

    Raises:
        GeometryError: If there is none, a value means nothing, or they speak of different numbers of axes.
    """
    stack = [layer if isinstance(layer, Layer) else Layer(dilation=layer) for layer in layers]
    if not stack:
        raise GeometryError("an empty list of layers has no geometry; give at least one dilation")
    ranks = sorted({layer.rank for layer in stack} - {0}) or [1]
    if len(ranks) > 1:
        raise GeometryError(f"layers of {ranks} axes do not stack; give one number, or one an axis, in all")
    nodes = [Node(name="input", operator="input", module="", inputs=(), axes=(POINTWISE,) * ranks[0])]
    for number, layer in enumerate(stack, start=1):
        name, axes = f"layer{number}", layer.axes(ranks[0])
        nodes.append(Node(name, "conv", name, inputs=(nodes[-1].name,), axes=axes))
    return SpatialGraph(tuple(nodes), outputs=(nodes[-1].name,))


def _per_axis(value: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * rank
