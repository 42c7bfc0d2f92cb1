"""Dense copies of networks give the original's numbers at the original's cells, for every size."""

import copy
import functools
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from atrous.geometry.receptive_field import receptive_field
from atrous.surgery.changes import subsample
from atrous.surgery.dilate import dilate
from atrous.surgery.plan import plan_surgery
from atrous.surgery.verify import verify
from surgery.networks import (
    Block,
    FlatHead,
    Fusion,
    Gated,
    Mixed,
    Residual,
    SameConv2d,
    StandardizedConv2d,
    Transition,
    seeded,
)


def conv(channels: int, out: int, **numbers: object) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1, **numbers)  # type: ignore[arg-type]


def tail() -> nn.Sequential:
    """Two strided layers, so that the second is dilated, too."""
    return nn.Sequential(conv(4, 4, stride=2), nn.ReLU(), conv(4, 4, stride=2), nn.ReLU(), conv(4, 4))


PATTERNS: dict[str, Callable[[], nn.Module]] = {
    "residual": Residual,
    "average pool in the shortcut": lambda: Residual(average=True),
    "pools of two": FlatHead,
    "ceil-mode pools": lambda: FlatHead(ceil_mode=True),
    "transition": Transition,
    "ceil-mode pool of three": lambda: nn.Sequential(
        conv(3, 4, stride=2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(3, 2, ceil_mode=True)
    ),
    "no padding": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 3), nn.MaxPool2d(3, 2), nn.Conv2d(4, 4, (3, 1), 2)
    ),
    "even kernels": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 4, 4), nn.Conv2d(4, 4, 2, 2), nn.Conv2d(4, 4, 7, padding=3, groups=4)
    ),
    "same by word": lambda: nn.Sequential(
        conv(3, 4, stride=4), nn.Conv2d(4, 4, 4, padding="same"), nn.Conv2d(4, 4, 3, padding="same")
    ),
    "functional pool in branches": lambda: nn.Sequential(conv(3, 4, stride=2), tail(), Mixed(4), Mixed(4)),
    "same by its forward": lambda: nn.Sequential(
        SameConv2d(3, 4, 3, 2), SameConv2d(4, 4, 5, 2), SameConv2d(4, 4, 3), SameConv2d(4, 4, 3, 2)
    ),
    "standardized weight": lambda: nn.Sequential(
        conv(3, 4, stride=2), StandardizedConv2d(4, 4, 3, 2, 1), StandardizedConv2d(4, 4, 3, padding=1)
    ),
    "reflection in the convolution": lambda: nn.Sequential(
        conv(3, 4, stride=2, padding_mode="reflect"),
        conv(4, 4, stride=2, padding_mode="reflect"),
        conv(4, 4, padding_mode="reflect"),
    ),
    "reflection as a module": lambda: nn.Sequential(
        conv(3, 4, stride=4), nn.ReflectionPad2d(1), nn.Conv2d(4, 4, 3), nn.ReplicationPad2d(1)
    ),
    "zeros as a module": lambda: nn.Sequential(
        conv(3, 4, stride=4), nn.ZeroPad2d((-1, 1, 0, 2)), nn.Conv2d(4, 4, 3), nn.ConstantPad2d(1, 0.5)
    ),
    "statistics over the map": lambda: nn.Sequential(
        conv(3, 4, stride=2), tail(), nn.GroupNorm(2, 4), conv(4, 4), nn.InstanceNorm2d(4, affine=True)
    ),
    "gate of an inline pool": lambda: nn.Sequential(conv(3, 4, stride=2), Gated("inline"), Gated("inline")),
    "gate of modules": lambda: nn.Sequential(conv(3, 4, stride=2), Gated("modules"), conv(4, 4)),
    "gate of functions": lambda: nn.Sequential(conv(3, 4, stride=2), Gated("functions"), conv(4, 4)),
    "upsampling branch": Fusion,
    "transposed convolution": lambda: nn.Sequential(
        conv(3, 4, stride=2), tail(), nn.ConvTranspose2d(4, 4, 4, 2, 1), conv(4, 4)
    ),
    "max pool with dilation and padding": lambda: nn.Sequential(
        conv(3, 4, stride=2), nn.MaxPool2d(3, 2, 1, dilation=2), nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 2, 1)
    ),
}  # fmt: skip


SIZES = {  # where the original itself takes no other
    "upsampling branch": ((32, 32), (64, 32)),
    "pools of two": ((32, 32), (64, 40)),
}


def last_map(network: nn.Module, x: Tensor) -> Tensor:
    return network.features(x) if hasattr(network, "features") else network(x)  # type: ignore[operator]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("output_stride", [2, 4])
def test_dense_network_keeps_the_function_at_every_size(name: str, output_stride: int):
    torch.manual_seed(0)
    network = seeded(PATTERNS[name]())
    example = torch.zeros(1, 3, 32, 32, dtype=torch.float64)
    surgery = plan_surgery(network, example, output_stride=output_stride)
    dense = surgery.apply(network)
    verify(network, dense, example, surgery=surgery)
    for size in SIZES.get(name, ((32, 32), (37, 50), (41, 35))):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(subsample(dense(x), surgery.spread), last_map(network, x))


@functools.cache
def dense_residual(output_stride: int, *, average: bool) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    network = seeded(Residual(average=average))
    return network, dilate(
        network, torch.zeros(1, 3, 48, 56, dtype=torch.float64), output_stride=output_stride
    )


@settings(max_examples=8)
@given(st.tuples(st.integers(17, 70), st.integers(17, 70)), st.sampled_from([1, 2, 4, 8]), st.booleans())
@pytest.mark.slow
def test_dense_residual_network_is_exact_and_has_a_cell_every_output_stride(
    size: tuple[int, int], output_stride: int, average: bool
):
    network, dense = dense_residual(output_stride, average=average)
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    found = dense(x)
    assert found.shape[2:] == tuple(-(-cells // output_stride) for cells in size)
    step = 16 // output_stride
    torch.testing.assert_close(subsample(found, (step, step)), last_map(network, x))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dilate_works_on_sound_images_and_volumes(rank: int):
    kind, pool = {
        1: (nn.Conv1d, nn.MaxPool1d), 2: (nn.Conv2d, nn.MaxPool2d), 3: (nn.Conv3d, nn.MaxPool3d)
    }[rank]  # fmt: skip
    torch.manual_seed(0)
    network = nn.Sequential(
        kind(1, 2, 3, 2, 1), pool(2, 2), kind(2, 2, 3, 1, 1), nn.GroupNorm(1, 2), kind(2, 2, 3, 2, 1)
    )
    network = seeded(network)
    x = torch.randn(1, 1, *(17, 20, 24)[:rank], dtype=torch.float64)
    dense = dilate(network, x, output_stride=2)
    torch.testing.assert_close(subsample(dense(x), (4,) * rank), network(x))


def test_axes_of_different_strides_are_dilated_on_their_own():
    torch.manual_seed(0)
    network = seeded(
        nn.Sequential(
            nn.Conv2d(3, 4, (3, 5), (2, 1), (1, 2)), conv(4, 4, stride=(2, 2)), nn.MaxPool2d((2, 3), (2, 1))
        )
    )
    x = torch.randn(1, 3, 40, 22, dtype=torch.float64)
    dense = dilate(network, x, output_stride=2)
    assert receptive_field(dense, x).stride == (2, 2)
    assert [axis.spread for axis in dense.get_submodule("2").axes] == [(2, 4), (1, 1)]  # type: ignore[union-attr]
    torch.testing.assert_close(subsample(dense(x), (4, 1)), network(x))


def test_a_stride_that_jumps_over_the_target_goes_in_part():
    torch.manual_seed(0)
    network = seeded(nn.Sequential(conv(3, 4), nn.Conv2d(4, 4, 4, 4), conv(4, 4)))
    x = torch.randn(1, 3, 32, 28, dtype=torch.float64)
    dense = dilate(network, x, output_stride=2)
    assert dense.get_submodule("1").stride == (2, 2)
    assert dense.get_submodule("2").dilation == (2, 2)
    torch.testing.assert_close(subsample(dense(x), (2, 2)), network(x))


@pytest.mark.slow
def test_the_first_layer_of_a_stage_keeps_its_dilation():
    """FACTS section 9: only what is below a removed stride is dilated."""
    dense = dilate(Residual(), torch.zeros(1, 3, 64, 64), output_stride=4)
    assert isinstance(dense, Residual)
    first, second = dense.layer2[0], dense.layer2[1]
    assert isinstance(first, Block)
    assert isinstance(second, Block)
    assert (first.conv1.stride, first.conv1.dilation, first.conv1.padding) == ((1, 1), (1, 1), (1, 1))
    assert (second.conv1.dilation, second.conv1.padding, second.conv1.groups) == ((2, 2), (2, 2), 2)


@pytest.mark.slow
def test_dilate_returns_a_copy_of_the_same_class_keys_and_mode():
    network = Residual().train()
    network.fc.eval()
    before = copy.deepcopy(network.state_dict())
    dense = dilate(network, torch.zeros(1, 3, 48, 48))
    assert type(dense) is Residual
    assert list(dense.state_dict()) == list(network.state_dict())
    assert dense.training
    assert not dense.fc.training
    assert network.training
    assert not network._forward_hooks
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    network.load_state_dict(dense.state_dict())
    dense.load_state_dict(before)
    assert not {id(p) for p in dense.parameters()} & {id(p) for p in network.parameters()}


@pytest.mark.slow
def test_a_dense_network_learns_in_every_parameter_before_the_head():
    dense = dilate(Residual(), torch.zeros(1, 3, 48, 48), output_stride=4)
    dense(torch.randn(2, 3, 48, 48)).square().sum().backward()
    assert all(p.grad is not None for name, p in dense.named_parameters() if not name.startswith("fc"))


@pytest.mark.slow
def test_a_dense_network_can_be_copied_pickled_and_exported():
    torch.manual_seed(0)
    dense = dilate(seeded(Residual()), torch.zeros(1, 3, 48, 48, dtype=torch.float64), output_stride=4)
    x = torch.randn(1, 3, 51, 70, dtype=torch.float64)
    assert torch.equal(copy.deepcopy(dense)(x), dense(x))
    assert torch.equal(pickle.loads(pickle.dumps(dense))(x), dense(x))
    sizes = {2: torch.export.Dim("height", min=40), 3: torch.export.Dim("width", min=40)}
    program = torch.export.export(dense, (x,), dynamic_shapes=(sizes,), strict=False)
    other = torch.randn(1, 3, 64, 45, dtype=torch.float64)
    torch.testing.assert_close(program.module()(other), dense(other))


@pytest.mark.slow
def test_a_dense_network_can_be_made_denser():
    torch.manual_seed(0)
    network = seeded(Residual(average=True))
    x = torch.randn(1, 3, 48, 48, dtype=torch.float64)
    twice = dilate(dilate(network, x, output_stride=8), x, output_stride=4)
    torch.testing.assert_close(subsample(twice(x), (4, 4)), last_map(network, x))


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 3, 3, 2, 1), nn.MaxPool2d(3, 2, 1)])
def test_a_single_layer_is_a_network_too(layer: nn.Module):
    x = torch.randn(1, 3, 9, 10)
    torch.testing.assert_close(subsample(dilate(layer, x, output_stride=1)(x), (2, 2)), layer(x))


@pytest.mark.slow
def test_the_original_stride_changes_nothing_but_what_is_returned():
    torch.manual_seed(0)
    network = seeded(Residual())
    x = torch.randn(1, 3, 40, 56, dtype=torch.float64)
    assert torch.equal(dilate(network, x, output_stride=16)(x), last_map(network, x))
