import pytest
import torch
from torch import nn

from atrous.errors import ConfigError
from atrous.training.optimizers import (
    build_optimizer,
    freeze_,
    optimizer_tensors,
    restore_optimizer_,
    scale_learning_rates_,
)
from atrous.training.settings import Stage


def two_layers():
    """A pretrained convolution and a new one."""
    torch.manual_seed(0)
    module = nn.Sequential()
    module.add_module("old", nn.Conv2d(2, 3, 3))
    module.add_module("new", nn.Conv2d(3, 2, 1))
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def step(module, optimizer, *, seed):
    """One update with gradients from the seed."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape)
    optimizer.step()


def test_biases_learn_twice_as_fast_and_do_not_decay():
    stage = Stage(learning_rate=0.1, momentum=0.0, weight_decay=0.01, new_layers_factor=5.0)
    module = two_layers()
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    step(module, build_optimizer(module, stage, new_layers=("new.",)), seed=1)
    for name, value in module.named_parameters():
        gradient, rate = value.grad, 0.1 * (5 if name.startswith("new.") else 1)
        if name.endswith("bias"):
            expected = before[name] - 2 * rate * gradient
        else:
            expected = before[name] - rate * (gradient + 0.01 * before[name])
        torch.testing.assert_close(value.detach(), expected)


def test_adamw_has_the_same_groups():
    stage = Stage(optimizer="adamw", learning_rate=0.1, weight_decay=0.01, new_layers_factor=5.0)
    module = two_layers()
    optimizer = build_optimizer(module, stage, new_layers=("new.",))
    names = {parameter: name for name, parameter in module.named_parameters()}
    settings = {
        names[parameter]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert settings == {
        "old.weight": (0.1, 0.01),
        "old.bias": (0.2, 0.0),
        "new.weight": (0.5, 0.01),
        "new.bias": (1.0, 0.0),
    }


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_frozen_layers_keep_their_bits(kind):
    stage = Stage(optimizer=kind, learning_rate=0.1, weight_decay=0.5, frozen=("old",))
    module = two_layers()
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    optimizer = build_optimizer(module, stage)
    for seed in range(3):
        step(module, optimizer, seed=seed)
    for name, value in module.named_parameters():
        assert torch.equal(value, before[name]) == name.startswith("old")


def test_freeze_finds_layers_inside_containers_and_lets_the_others_go():
    module = nn.Sequential()
    module.add_module("layers", two_layers())
    freeze_(module, ("old",))
    assert [parameter.requires_grad for parameter in module.parameters()] == [False, False, True, True]
    freeze_(module, ())
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_freeze_names_the_layers_when_nothing_matches():
    with pytest.raises(ConfigError, match=r"frozen = \['conv9_'\] matches no layer; layers are new, old"):
        freeze_(two_layers(), ("old", "conv9_"))


def test_build_optimizer_refuses_to_train_nothing():
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        build_optimizer(two_layers(), Stage(frozen=("old", "new")))


def test_scale_learning_rates_starts_from_the_initial_ones_every_time():
    optimizer = build_optimizer(two_layers(), Stage(learning_rate=0.1))
    for factor in (0.5, 0.1, 1.0):
        scale_learning_rates_(optimizer, factor)
        assert sorted(group["lr"] for group in optimizer.param_groups) == [
            pytest.approx(0.1 * factor),
            pytest.approx(0.2 * factor),
        ]


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_restored_optimizer_goes_on_bit_for_bit(kind, momentum):
    stage = Stage(
        optimizer=kind, learning_rate=0.1, momentum=momentum, weight_decay=0.1, frozen=("old.bias",)
    )
    module, copy = two_layers(), two_layers()
    optimizer, other = build_optimizer(module, stage), build_optimizer(copy, stage)
    for seed in range(2):
        step(module, optimizer, seed=seed)
    copy.load_state_dict(module.state_dict())
    stored = {name: value.contiguous().clone() for name, value in optimizer_tensors(optimizer).items()}
    restore_optimizer_(other, stored)
    for seed in range(2, 4):
        step(module, optimizer, seed=seed)
        step(copy, other, seed=seed)
    for ours, theirs in zip(copy.parameters(), module.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for parameter, entry in other.state.items():
        for value in entry.values():
            assert value.ndim == 0 or value.stride() == parameter.stride()  # the memory order stays too
