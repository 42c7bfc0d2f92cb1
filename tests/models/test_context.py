"""The context module: it starts as the identity, sees what it says, and pads in two ways."""

import pytest
import torch
from torch import nn

from atrous.errors import ConfigError
from atrous.models.context import DILATIONS, ContextModule

VARIANTS = ["basic", "large"]
PADDINGS = ["layers", "input"]


def positive_(module):
    """All taps seen: weights above zero, no bias, so that no ReLU cuts anything off."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    return module.double()


sizes = pytest.mark.parametrize(
    ("num_classes", "size"), [(1, (1, 1)), (2, (40, 3)), (3, (7, 71)), (21, (9, 8))]
)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("variant", VARIANTS)
@sizes
def test_fresh_module_is_exactly_relu(variant, padding, num_classes, size):
    # 16 significant bits: then all sums of up to 32 equal parts, as the Large module takes, fit into 24.
    logits = torch.randint(-(2**15), 2**15, (2, num_classes, *size)) / 1024
    module = ContextModule(num_classes, variant=variant, padding=padding)
    assert module(logits).equal(logits.relu())


@pytest.mark.parametrize("variant", VARIANTS)
@sizes
def test_fresh_module_is_relu_of_any_logits_up_to_rounding(variant, num_classes, size):
    logits = 10 * torch.randn(2, num_classes, *size)
    refined = ContextModule(num_classes, variant=variant)(logits)
    torch.testing.assert_close(refined, logits.relu())
    assert variant == "large" or refined.equal(logits.relu())


@pytest.mark.parametrize("variant", VARIANTS)
def test_noise_moves_a_fresh_module_a_little(variant):
    torch.manual_seed(0)
    logits = torch.randn(1, 5, 12, 10)
    refined = ContextModule(5, variant=variant, noise=1e-4)(logits)
    assert not refined.equal(logits.relu())
    torch.testing.assert_close(refined, logits.relu(), atol=0.05, rtol=0)


def test_module_leaves_its_input_alone():
    logits = torch.randn(1, 3, 6, 6)
    before = logits.clone()
    ContextModule(3)(logits)
    assert logits.equal(before)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("dilations", "cells"), [(DILATIONS, 67), ((1, 1, 2, 4, 8, 1), 35), ((1, 1, 2, 4, 8, 16, 32, 64, 1), 259)]
)
def test_a_cell_sees_every_cell_of_the_receptive_field(padding, dilations, cells):
    module = positive_(ContextModule(1, dilations=dilations, padding=padding))
    assert module.receptive_field == cells
    logits = torch.rand(1, 1, cells + 4, cells + 4, dtype=torch.float64).requires_grad_()
    middle = cells // 2 + 2
    module(logits)[0, 0, middle, middle].backward()
    assert logits.grad is not None
    seen = logits.grad[0, 0] > 0
    assert seen.sum() == cells**2
    assert seen[2:-2, 2:-2].all()


def test_the_two_paddings_differ_only_near_the_border():
    torch.manual_seed(0)
    layers = ContextModule(2, dilations=(1, 2, 4), noise=0.3).double()
    once = ContextModule(2, dilations=(1, 2, 4), padding="input").double()
    nn.init.normal_(layers.layers[0].bias)  # type: ignore[arg-type]
    once.load_state_dict(layers.state_dict())
    logits = torch.randn(1, 2, 20, 18, dtype=torch.float64)
    ours, theirs = layers(logits), once(logits)
    torch.testing.assert_close(ours[..., 7:-7, 7:-7], theirs[..., 7:-7, 7:-7])
    assert not ours.allclose(theirs)


def test_padding_the_input_pads_the_logits_once():
    torch.manual_seed(0)
    module = ContextModule(2, dilations=(1, 2, 4), noise=0.3, padding="input").double()
    logits = torch.randn(1, 2, 5, 6, dtype=torch.float64)
    values = nn.functional.pad(logits, (7, 7, 7, 7))
    for layer in module.layers:
        if isinstance(layer, nn.Conv2d):
            values = nn.functional.conv2d(values, layer.weight, layer.bias, dilation=layer.dilation)
        else:
            values = values.relu()
    torch.testing.assert_close(module(logits), values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "huge"}, 'a context module is "basic" or "large", not "huge"'),
        ({"padding": "same"}, 'a context module pads its "layers" or its "input", not "same"'),
        ({"dilations": ()}, r"dilations \(\) make no context module; give one or more of at least 1"),
        ({"dilations": (1, 0)}, r"dilations \(1, 0\) make no context module"),
        ({"dilations": (1, 2), "variant": "large"}, "the large module has 7 dilations, not 2; or use basic"),
        ({"noise": -1.0}, "noise -1.0 is a standard deviation"),
    ],
)
def test_module_refuses_what_does_not_exist(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ContextModule(3, **arguments)
