"""What every network of the catalog promises; a new one is tested here without a line of its own."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim, export

from atrous.checkpoint import save_checkpoint
from atrous.geometry.receptive_field import ReceptiveField, receptive_field
from atrous.layers.attention import NeighborhoodAttention
from atrous.models.catalog import CATALOG, build_network, load_network, to_checkpoint
from atrous.models.companding import Companding
from atrous.models.contract import AuxiliaryNetwork, DenseNetwork, Normalization
from atrous.models.window import Window
from models.conftest import VARIANTS, forward, on_meta

MOST_PARAMETERS = 20_000_000  # of a network that runs in the fast suite; others are checked on meta tensors


def is_large(name: str) -> bool:
    return on_meta(name).num_parameters() > MOST_PARAMETERS


MOST_LAYERS = 40  # of a network that is looked at in the fast suite


def is_deep(name: str) -> bool:
    return sum(isinstance(layer, nn.Conv2d) for layer in on_meta(name).modules()) > MOST_LAYERS


MOST_PARTS = 60  # modules of a network that is exported in the fast suite


def has_many_parts(name: str) -> bool:
    return sum(1 for _ in on_meta(name).modules()) > MOST_PARTS


def comes_up_again(name: str) -> bool:
    """Whether it makes maps finer, whose sizes export reasons about for seconds."""
    return any(isinstance(layer, nn.ConvTranspose2d) for layer in on_meta(name).modules())


def slow_where(is_slow: Callable[[str], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[pytest.mark.slow] if is_slow(name) else []) for name in CATALOG]
    )


def heavy_where(is_slow: Callable[[str], bool], *, without: Sequence[str] = ()) -> pytest.MarkDecorator:
    """Over all networks; of those that are made of another one's parts, only when asked for."""
    marks = {name: [pytest.mark.slow] if is_slow(name) else [] for name in CATALOG}
    marks |= {name: [pytest.mark.slow, pytest.mark.exhaustive] for name in VARIANTS}
    names = [name for name in CATALOG if name not in without]
    return pytest.mark.parametrize("name", [pytest.param(name, marks=marks[name]) for name in names])


every_network = slow_where(is_deep)
every_real_network = heavy_where(lambda name: is_deep(name) or is_large(name))
every_exportable_network = heavy_where(
    lambda name: has_many_parts(name) or is_large(name) or comes_up_again(name)
)
every_measurable_network = heavy_where(
    lambda name: is_deep(name) or on_meta(name).receptive_field > 450,
    without=("wavenet", "wavenet_undilated", "wavenet_labeler"),
)  # a gate lets no large value through; tests/models/test_wavenet.py changes samples


def test_variants_are_networks_of_the_catalog():
    assert CATALOG.keys() >= VARIANTS.keys() | set(VARIANTS.values())
    assert not VARIANTS.keys() & set(VARIANTS.values())


def sides_of(network: DenseNetwork, height: int, width: int) -> tuple[int, ...]:
    """Of an image, of a volume of 9 slices, or of a sound."""
    return (height, width, 9)[: network.num_axes]


def random_images(
    network: DenseNetwork, height: int, width: int, *, device: str = "cpu", number: int = 1
) -> torch.Tensor:
    """A normalized photo's or volume's worth of noise, margin included."""
    sides = (side + 2 * network.margin for side in sides_of(network, height, width))
    return torch.randn(number, network.num_channels, *sides, device=device)


def zeros(network: DenseNetwork, side: int, **options: Any) -> torch.Tensor:
    return torch.zeros(1, network.num_channels, *(side,) * network.num_axes, **options)


@cache
def traced(name: str) -> ReceptiveField:
    """What the network sees, followed through its spatial graph."""
    network = on_meta(name)
    return receptive_field(network, zeros(network, 64 + 2 * network.margin, device="meta"))


def coarsest_stride(name: str) -> int:
    """Pixels a cell of the coarsest map inside."""
    return int(max(layer.stride[0] for layer in traced(name).layers))


@every_network
@pytest.mark.parametrize("num_classes", [2, 21])
def test_logits_have_one_cell_for_every_stride_begun(name, num_classes):
    network = on_meta(name, num_classes)
    assert network.num_classes == num_classes
    stride = network.output_stride
    for height, width in [(1, 1), (stride, stride + 1), (2 * stride - 1, 3), (33, 50), (47, 64)]:
        logits = network(random_images(network, height, width, device="meta"))
        cells = (-(-side // stride) for side in sides_of(network, height, width))
        assert logits.shape == (1, num_classes, *cells)


@every_network
def test_backward_reaches_every_parameter(name):
    network = on_meta(name)
    outputs = forward(network, random_images(network, 17, 9, device="meta"))
    torch.stack([logits.sum() for logits in outputs]).sum().backward()
    assert [path for path, parameter in network.named_parameters() if parameter.grad is None] == []


@every_real_network
def test_gradient_of_every_parameter_is_finite_and_not_zero(name):
    torch.manual_seed(0)
    network = build_network(name).train()
    reach = max(
        (layer.dilation for layer in network.modules() if isinstance(layer, NeighborhoodAttention)), default=0
    )
    height = max(40, 16 * (1 + reach))  # so that every cell has a neighbor to attend to
    outputs = forward(network, random_images(network, height, 33, number=2))
    torch.stack([(logits * torch.randn_like(logits)).sum() for logits in outputs]).sum().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.any(), path


@every_real_network
def test_checkpoint_brings_back_the_network(name, tmp_path):
    torch.manual_seed(0)
    network = build_network(name, num_classes=5).eval()
    colors = Normalization((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "BGR")
    network.use_normalization_((Companding(8000), colors, Window(1.0, 98.0))[network.num_axes - 1])
    saved = to_checkpoint(network, name=name, labels={"names": list("abcde")}, progress={"step": 7})
    save_checkpoint(tmp_path / "model.safetensors", saved)
    loaded = load_network(tmp_path / "model.safetensors")
    assert type(loaded) is type(network)
    assert loaded.geometry == network.geometry
    assert loaded.normalization == network.normalization
    assert not loaded.training
    images = random_images(network, 21, 13)
    with torch.no_grad():
        pairs = zip(forward(loaded, images), forward(network, images), strict=True)
        assert all(ours.equal(theirs) for ours, theirs in pairs)


@pytest.mark.slow
@every_exportable_network
def test_exported_program_is_the_network_at_any_size(name, build_narrow):
    torch.manual_seed(0)
    network = build_narrow(name) if is_large(name) else build_network(name).double().eval()
    example = random_images(network, 41, 50).double()
    sides = dict.fromkeys(range(2, example.ndim), Dim.DYNAMIC)
    program = export(network, (example,), dynamic_shapes=(sides,)).module()
    stride = coarsest_stride(name)  # export takes a side of one cell for a constant, there too
    for height, width in [(41, 50), (stride + 1, 2 * stride), (4 * stride - 1, 22 + stride)]:
        images = random_images(network, height, width).double()
        torch.testing.assert_close(program(images), network(images))


@every_measurable_network
def test_measured_receptive_field_is_the_documented_one(name, build_narrow, measure_field):
    network = build_narrow(name)
    field, stride, margin = network.receptive_field, network.output_stride, network.margin
    axis, boxes = traced(name).axes[0], {}
    inside = (field - 2 * margin) // (2 * stride) + 1 + 4 // stride  # the first cell whose whole field is
    for cell in range(inside, inside + len(axis.first)):  # one of each phase
        boxes[cell] = axis.box(cell) or (0, -1)
    cell = max(boxes, key=lambda cell: boxes[cell][1] - boxes[cell][0])
    side = (2 * cell + 1) * stride + 2 * margin
    given = {"num_axes": network.num_axes, "num_channels": network.num_channels}
    first, last = measure_field(network, side=side, cell=cell, **given)
    if network.geometry.is_global:
        assert (first, last) == (0, side - 1)
        return
    assert last - first + 1 == field
    assert (first, last) == boxes[cell]


@every_network
def test_traced_receptive_field_is_the_documented_one(name):
    network, field = on_meta(name), traced(name)
    assert field.local == (network.receptive_field,) * network.num_axes
    assert field.sees_all == (network.geometry.is_global,) * network.num_axes
    assert field.stride == (network.output_stride,) * network.num_axes
    assert field.center == (network.center + network.margin,) * network.num_axes  # in the padded image
    if network.num_axes == 1 and field.center[0] < 0:  # causal: all branches end at the sample itself
        joins = [layer for layer in field.layers if len(layer.node.inputs) > 1]
        assert all(set(layer.axes[0].last) == {0} for layer in joins)
    else:
        assert not any(layer.misalignment for layer in field.layers)


@every_network
def test_new_layers_are_layers_of_the_network(name):
    network = on_meta(name)
    parameters = [path for path, _ in network.named_parameters()]
    for prefix in network.new_layers():
        assert any(path.startswith(prefix) for path in parameters), prefix


@every_network
def test_builder_says_what_it_builds(name):
    summary = (CATALOG[name].__doc__ or "").splitlines()[0]
    assert summary.endswith(".")


@every_network
def test_auxiliary_logits_lie_where_their_geometry_says(name):
    network = on_meta(name)
    if not isinstance(network, AuxiliaryNetwork):
        return
    stride = network.auxiliary_geometry.output_stride
    for height, width in [(1, 1), (2 * stride - 1, 3), (33, 50)]:
        logits, auxiliary = network.forward_with_auxiliary(
            random_images(network, height, width, device="meta")
        )
        assert logits.shape == network(random_images(network, height, width, device="meta")).shape
        assert auxiliary.shape == (1, 21, -(-height // stride), -(-width // stride))
