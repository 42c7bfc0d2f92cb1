"""What a plan says, and the reasons why a network cannot become dense."""

import inspect
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError, GeometryError, SurgeryError
from atrous.surgery.changes import in_words
from atrous.surgery.dilate import dilate
from atrous.surgery.plan import plan_surgery
from surgery.networks import Fusion, Residual

EXAMPLE = torch.zeros(1, 3, 48, 48)


def edits(network: nn.Module, output_stride: int, **options: str) -> dict[str, str]:
    surgery = plan_surgery(network, EXAMPLE, output_stride=output_stride, **options)  # type: ignore[arg-type]
    return {edit.path: edit.what for edit in surgery.edits}


def test_plan_says_what_is_done_to_which_layer():
    assert edits(Residual(average=True), 4) == {
        "layer2.0.conv1": "stride 2 -> 1",
        "layer2.0.shortcut.0": "dense AvgPool2d: stride 2 -> 1",
        "layer2.1.conv1": "dilation 1 -> 2, padding 1 -> 2",
        "layer2.0.conv2": "dilation 1 -> 2, padding 2 -> 4",
        "layer2.1.conv2": "dilation 1 -> 2, padding 2 -> 4",
        "layer3.0.conv1": "stride 2 -> 1, dilation 1 -> 2, padding 1 -> 2",
        "layer3.0.shortcut.0": "dense AvgPool2d: stride 2 -> 1, dilation 1 -> 2",
        "layer3.0.conv2": "dilation 1 -> 4, padding 2 -> 8",
        "layer3.1.conv1": "dilation 1 -> 4, padding 1 -> 4",
        "layer3.1.conv2": "dilation 1 -> 4, padding 2 -> 8",
        "layer2.0.se": "runs on every 2nd position, grid by grid",
        "layer2.1.se": "runs on every 2nd position, grid by grid",
        "layer3.0.se": "runs on every 4th position, grid by grid",
        "layer3.1.se": "runs on every 4th position, grid by grid",
        "": "returns the map that its head pools",
    }


def test_notes_say_over_which_positions_a_gate_averages():
    notes = plan_surgery(Residual(), EXAMPLE, output_stride=8).notes
    assert notes == tuple(
        f"layer3.{number}.se averages over every 2nd position, each of the interleaved grids by itself, so "
        "that the function is kept"
        for number in (0, 1)
    )


def test_plan_is_frozen_and_leaves_the_network_alone():
    network = Residual()
    surgery = plan_surgery(network, EXAMPLE)
    with pytest.raises(FrozenInstanceError):
        surgery.output_stride = 4  # type: ignore[misc]
    assert network.layer3[0].conv1.stride == (2, 2)  # type: ignore[union-attr]
    first, second = surgery.apply(network), surgery.apply(Residual())
    assert first.layer3[0].conv1.stride == second.layer3[0].conv1.stride == (1, 1)  # type: ignore[union-attr]


def test_the_plan_says_how_dense_the_map_is():
    surgery = plan_surgery(Residual(), EXAMPLE, output_stride=4)
    assert (surgery.output_stride, surgery.spread) == (4, (4, 4))


@pytest.mark.parametrize("output_stride", [3, 6, 32, 0, -8])
def test_impossible_output_stride_lists_the_possible_ones(output_stride: int):
    with pytest.raises(
        SurgeryError, match=r"maps lie at strides 1, 2, 4, 8, 16; give one of 1, 2, 4, 8, 16$"
    ):
        plan_surgery(Residual(), EXAMPLE, output_stride=output_stride)


@pytest.mark.parametrize("options", [{"pools": "remove"}, {"head": "linear"}])
def test_unknown_words_are_refused(options: dict[str, str]):
    with pytest.raises(ConfigError, match='give pools "keep" or "drop", head "features" or "dense"'):
        inspect.unwrap(plan_surgery)(Residual(), EXAMPLE, **options)  # without the tests' check of types


class Strided(nn.Module):
    """Strides that are no modules, each of another kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 2, 1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        match self.kind:
            case "max_pool2d":
                x = functional.max_pool2d(x, 3, stride=2)
            case "avg_pool2d":
                x = functional.avg_pool2d(x, 2)
            case "slice":
                x = x[:, :, ::2, ::2]
            case "conv2d":
                x = functional.conv2d(x, self.conv2.weight, stride=2)
        return self.conv2(x)


@pytest.mark.parametrize("kind", ["max_pool2d", "avg_pool2d", "slice", "conv2d"])
def test_strided_functions_are_the_reason_why_not(kind: str):
    where = rf"Strided, calls {kind} with stride 2 in its forward \(test_plan.py:\d+: "
    with pytest.raises(SurgeryError, match=f"the network, {where}"):
        plan_surgery(Strided(kind), EXAMPLE, output_stride=2)
    network = nn.Sequential(Strided(kind), nn.Conv2d(4, 3, 1), Strided(kind))
    with pytest.raises(SurgeryError, match=f"0, {where}.*; 2, {where}"):
        plan_surgery(network, EXAMPLE, output_stride=2)


def test_a_stride_that_stays_may_be_a_function():
    network = nn.Sequential(Strided("max_pool2d"), nn.Conv2d(4, 4, 3, 2, 1))
    assert edits(network, 4) == {"1": "stride 2 -> 1"}


def test_one_pool_at_places_of_different_density_is_refused():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = nn.MaxPool2d(2)
            self.convs = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)])

        def forward(self, x: Tensor) -> Tensor:
            for conv in self.convs:
                x = self.pool(conv(x))
            return x

    with pytest.raises(SurgeryError, match="pool is called at places that become differently dense"):
        plan_surgery(Shared(), EXAMPLE, output_stride=2)


def test_one_layer_at_places_of_one_density_is_changed_once():
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.step = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.down(x)
            return self.step(self.step(x))

    dense = dilate(Recurrent(), EXAMPLE, output_stride=1)
    assert isinstance(dense, Recurrent)
    assert dense.step.dilation == (2, 2)


def test_one_module_under_two_names_is_replaced_under_both():
    pool = nn.MaxPool2d(3, 1, 1)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), pool, nn.Conv2d(4, 4, 3, padding=1), pool)
    dense = dilate(network, EXAMPLE, output_stride=1)
    assert dense.get_submodule("1") is dense.get_submodule("3")
    assert dense.get_submodule("1") is not pool


def test_a_mean_beside_a_stride_is_refused_with_its_line():
    class Inline(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.conv = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.down(x)
            x = x * x.mean((2, 3), keepdim=True)
            return self.conv(x)

    network = nn.Sequential(nn.Conv2d(3, 3, 3, 2, 1), Inline())
    with pytest.raises(
        SurgeryError, match=r"1, Inline, sees the whole map by mean \(test_plan.py:\d+: x = x \* x.mean"
    ):
        plan_surgery(network, EXAMPLE, output_stride=2)


def test_two_tensors_are_refused():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, 2, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.conv(x), self.conv(-x)

    with pytest.raises(SurgeryError, match="returns 2 tensors; wrap it in a module that returns one"):
        plan_surgery(Two(), EXAMPLE, output_stride=1)


def test_a_network_without_maps_is_refused():
    with pytest.raises(SurgeryError, match=r"Sequential has no single map"):
        plan_surgery(nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, 2)), EXAMPLE, output_stride=1)


def test_what_cannot_be_traced_is_refused_by_the_tracer():
    with pytest.raises(GeometryError, match="no 1, 2 or 3 spatial axes"):
        plan_surgery(nn.Linear(3, 3), torch.zeros(1, 3))


def test_upsampling_to_a_map_that_stays_denser_is_possible():
    assert edits(Fusion(), 2) == {
        "high": "stride 2 -> 1",
        "low": "stride 2 -> 1, dilation 1 -> 2, padding 1 -> 2",
        "down": "stride 2 -> 1, dilation 1 -> 2, padding 1 -> 2",
        "up.1": "runs on every 4th position, grid by grid",
    }


def test_in_words():
    assert [in_words(values) for values in (3, (2, 2), (2, 1), [(0, 1), (0, 1)], [(1, 1), (0, 2)])] == [
        "3", "2", "2x1", "0+1", "1x0+2"
    ]  # fmt: skip
