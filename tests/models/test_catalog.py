"""Networks by name: built, saved, loaded, refused."""

import math
from dataclasses import replace

import pytest
import torch

from atrous.checkpoint import save_checkpoint
from atrous.errors import CheckpointError, ConfigError
from atrous.models.catalog import CATALOG, FRONT_ENDS, build_network, load_network, network_of, to_checkpoint
from atrous.models.context import ContextModule
from atrous.models.contract import PLAIN_RGB, Normalization
from atrous.models.dilated_net import DilatedNet


def checkpoint_of(name="compact", *, num_classes=3, context_module="none"):
    network = build_network(name, num_classes=num_classes, context_module=context_module)
    return to_checkpoint(network, name=name, labels={}, progress={}, context_module=context_module)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["basic", "large"])
def test_a_context_module_goes_on_top_of_a_front_end(variant):
    network = build_network("compact", num_classes=3, context_module=variant)
    assert isinstance(network, DilatedNet)
    expected = ContextModule(3, variant=variant).state_dict()
    assert {name: value.tolist() for name, value in network.context.state_dict().items()} == {
        name: value.tolist() for name, value in expected.items()
    }


@pytest.mark.parametrize(
    "arguments", [{"name": "compact", "context_module": "basic"}, {"name": "compact_context"}]
)
def test_noise_is_given_to_the_context_module(arguments):
    torch.manual_seed(0)
    network = build_network(**arguments, num_classes=8, noise=0.01)
    assert isinstance(network, DilatedNet)
    first = network.context.layers[0].weight
    assert isinstance(first, torch.Tensor)
    assert first[first != 1].std().item() == pytest.approx(0.01, rel=0.2)


@pytest.mark.slow
def test_front_ends_are_what_the_networks_stand_on():
    with torch.device("meta"):
        stacks = {name: network for name in CATALOG if isinstance(network := build_network(name), DilatedNet)}
        assert set(FRONT_ENDS) == set(stacks)
        for name, network in stacks.items():
            alone = build_network(FRONT_ENDS[name], num_classes=network.num_classes)
            assert alone.geometry == network.front_end.geometry
            assert not alone.misfits(network.front_end.state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "dilation9"}, 'no network "dilation9" in the catalog; did you mean "dilation8"?'),
        ({"name": "zzz"}, 'no network "zzz" in the catalog; known are compact, compact_context, '),
        ({"name": "compact", "num_classes": 0}, "0 classes make no network; give a whole number from 1 on"),
        ({"name": "compact", "context_module": "huge"}, 'a context module is "basic" or "large", not "huge"'),
        (
            {"name": "compact_context", "context_module": "basic"},
            '"compact_context" has a context module already; choose a front end, or context_module "none"',
        ),
        (
            {"name": "compact", "noise": 0.1},
            'noise 0.1 is for a context module, which "compact" has not; give it one by context_module',
        ),
    ],
)
def test_build_network_refuses(arguments, message):
    with pytest.raises(ConfigError, match=message):
        build_network(**arguments)


@pytest.mark.parametrize("context_module", ["none", "basic"])
def test_load_network_builds_what_was_saved(context_module, tmp_path):
    saved = checkpoint_of(context_module=context_module)
    save_checkpoint(tmp_path / "model.safetensors", saved)
    for path in (tmp_path / "model.safetensors", str(tmp_path / "model.safetensors")):
        loaded = load_network(path)
        assert isinstance(loaded, DilatedNet) == (context_module == "basic")
        assert loaded.normalization == PLAIN_RGB
        for name, value in loaded.state_dict().items():
            assert value.equal(saved.tensors[name])


def test_network_of_gives_the_normalization_to_every_part():
    normalization = Normalization((5.0, 6.0, 7.0), (1.0, 2.0, 3.0), "BGR")
    saved = replace(checkpoint_of("compact_context"), normalization=normalization.to_dict())
    network = network_of(saved, source="here")
    assert isinstance(network, DilatedNet)
    assert network.normalization == network.front_end.normalization == normalization


def test_a_checkpoint_with_values_that_are_not_finite_is_refused():
    saved = checkpoint_of()
    saved.tensors["layers.final.bias"] = torch.tensor([0.0, math.nan, 1.0])
    with pytest.raises(
        CheckpointError, match=r"here holds values .* not finite, such as in layers\.final\.bias"
    ):
        network_of(saved, source="here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"network": "resnet"},
            'here describes a network that this atrous cannot build: no network "resnet"',
        ),
        (
            {"arguments": {"classes": 3}},
            "here describes a network that this atrous cannot build: .*'classes'",
        ),
        ({"arguments": {"num_classes": -1}}, "cannot build: -1 classes make no network"),
        ({"arguments": {"num_classes": "3"}}, "here describes a network that this atrous cannot build"),
        (
            {"arguments": {"num_classes": 4}},
            'here holds no weights of a "compact" with 4 classes: 2 tensors .* such as layers.final.weight',
        ),
        ({"network": "compact_context"}, 'here holds no weights of a "compact_context" with 3 classes: '),
        (
            {"tensors": {}},
            "14 tensors are missing, too many, or of another shape, such as layers.conv1_1.weight",
        ),
        ({"normalization": {}}, "a normalization needs mean, std and channels, not {}"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused_in_one_line(change, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        network_of(replace(checkpoint_of(), **change), source="here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": [1, 2]}, "three means"),
        ({"std": [1, 2, 3, 4]}, "three stds"),
        ({"std": [1, 0, 1]}, "stds above 0"),
        ({"mean": [1, float("nan"), 1]}, "finite numbers"),
        ({"channels": "GBR"}, "RGB or BGR"),
        ({"mean": "abc"}, "needs mean, std and channels"),
        ({"std": None}, "needs mean, std and channels"),
    ],
)
def test_a_normalization_of_another_form_is_refused(change, message):
    fields = {"mean": [1, 2, 3], "std": [4, 5, 6], "channels": "RGB"}
    assert Normalization.from_dict(fields) == Normalization((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "RGB")
    with pytest.raises(CheckpointError, match=message):
        Normalization.from_dict(fields | change)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_normalization_subtracts_and_divides_in_the_order_of_its_channels(channels):
    images = torch.randint(0, 256, (2, 3, 4, 5)).float()
    normalized = Normalization((10.0, 20.0, 30.0), (2.0, 4.0, 5.0), channels).apply(images)
    red, green, blue = images.unbind(1)
    first, second, third = (red, green, blue) if channels == "RGB" else (blue, green, red)
    expected = torch.stack([(first - 10) / 2, (second - 20) / 4, (third - 30) / 5], 1)
    assert normalized.equal(expected)
