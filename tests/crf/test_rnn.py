import json

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy, one_hot

from atrous.checkpoint import load_tensors, save_tensors
from atrous.crf.inference_steps import mean_field
from atrous.crf.kernels import Bilateral, Gaussian, Spatial
from atrous.crf.rnn import CRFRNN
from atrous.errors import CheckpointError, ConfigError, ShapeError

KERNELS = (Spatial(sigma=2, weight=1.5), Bilateral(sigma_xy=5, sigma_rgb=40, weight=-2))
SIZES = ((19,), (7, 6), (4, 3, 5))


def example(size: tuple[int, ...], *, num_classes: int = 3, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, num_classes, *size, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 256, (batch, 2, *size), generator=generator)


@pytest.mark.parametrize("normalization", ["symmetric", "before", "after", "none"])
@pytest.mark.parametrize("size", SIZES)
def test_at_its_start_it_is_mean_field_with_potts(size, normalization):
    logits, images = example(size)
    layer = CRFRNN(num_classes=3, kernels=KERNELS, num_steps=4, normalization=normalization)
    expected = mean_field(logits, images, kernels=KERNELS, num_steps=4, normalization=normalization)
    torch.testing.assert_close(layer(logits, images).softmax(1), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_at_fixed_weights_it_is_mean_field(size):
    logits, images = example(size)
    costs = torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layer = CRFRNN(num_classes=3, kernels=KERNELS, num_steps=4).double()
    with torch.no_grad():
        layer.compatibility.copy_(costs)
        layer.kernel_weights.copy_(torch.tensor([[0.5], [3.0]]))
    kernels = (Spatial(sigma=2, weight=0.5), Bilateral(sigma_xy=5, sigma_rgb=40, weight=3))
    expected = mean_field(
        logits, images, kernels=kernels, num_steps=4, normalization="after", compatibility=costs
    )
    torch.testing.assert_close(layer(logits, images).softmax(1), expected, rtol=0, atol=1e-13)


def test_a_weight_of_a_class_scales_the_messages_of_that_class():
    logits, images = example((7, 6))
    layer = CRFRNN(num_classes=3, kernels=KERNELS, num_steps=1).double()
    with torch.no_grad():
        layer.kernel_weights.copy_(torch.tensor([[1.0, 0.0, 2.0], [0.5, 3.0, 0.0]]))
        layer.compatibility.copy_(-torch.eye(3))
    alone = [
        CRFRNN(num_classes=3, kernels=[kernel], num_steps=1).double().requires_grad_(requires_grad=False)
        for kernel in KERNELS
    ]
    expected = logits.clone()
    for kernel, weights in zip(alone, layer.kernel_weights, strict=True):
        kernel.compatibility.copy_(-torch.eye(3))
        kernel.kernel_weights.fill_(1)
        expected += (kernel(logits, images) - logits) * weights[:, None, None]
    torch.testing.assert_close(layer(logits, images), expected, rtol=0, atol=1e-13)


def test_training_and_evaluation_have_their_own_number_of_steps():
    logits, images = example((7, 6))
    layer = CRFRNN(num_classes=3, kernels=KERNELS, num_steps=2, num_test_steps=6)
    for mode, num_steps in ((True, 2), (False, 6)):
        expected = mean_field(logits, images, kernels=KERNELS, num_steps=num_steps, normalization="after")
        refined = layer.train(mode)(logits, images)
        torch.testing.assert_close(refined.softmax(1), expected, rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["symmetric", "after"])
@pytest.mark.parametrize(
    "size",
    [pytest.param((5,), marks=pytest.mark.slow), (3, 3), pytest.param((2, 2, 2), marks=pytest.mark.slow)],
)
def test_gradients_to_logits_weights_and_compatibility(size, normalization):
    logits, images = example(size, batch=1)
    layer = CRFRNN(num_classes=3, kernels=KERNELS, num_steps=2, normalization=normalization).double()
    weights = layer.kernel_weights.detach() + torch.arange(6.0).view(2, 3) / 10
    costs = layer.compatibility.detach() + torch.arange(9.0).view(3, 3) / 10

    def refined(logits: Tensor, weights: Tensor, costs: Tensor) -> Tensor:
        values = {"kernel_weights": weights, "compatibility": costs}
        return functional_call(layer, values, (logits, images))

    inputs = [tensor.requires_grad_() for tensor in (logits, weights, costs)]
    assert torch.autograd.gradcheck(refined, inputs)


def test_a_batch_is_its_images_one_by_one():
    logits, images = example((7, 6))
    layer = CRFRNN(num_classes=3, kernels=KERNELS)
    alone = [layer(logits[[item]], images[[item]]) for item in range(2)]
    assert torch.equal(layer(logits, images), torch.cat(alone))


def test_the_precision_follows_the_logits_but_is_at_least_float32():
    logits, images = example((7, 6))
    layer = CRFRNN(num_classes=3, kernels=KERNELS)
    assert layer(logits, images).dtype == torch.float64
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert layer(logits.to(dtype), images).dtype == torch.float32
    exact, rough = layer(logits, images), layer(logits.float(), images)
    torch.testing.assert_close(rough, exact.float(), rtol=1e-4, atol=1e-4)


def test_autocast_changes_nothing():
    logits, images = example((7, 6))
    plain, cast = (CRFRNN(num_classes=3, kernels=KERNELS) for _ in range(2))
    expected = plain(logits.bfloat16(), images)
    expected.square().sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        refined = cast(logits.bfloat16(), images)
    refined.square().sum().backward()
    assert refined.dtype == torch.float32
    assert torch.equal(refined, expected)
    for parameter, same in zip(plain.parameters(), cast.parameters(), strict=True):
        torch.testing.assert_close(same.grad, parameter.grad, rtol=0, atol=0)


def test_inference_mode_gives_the_same():
    logits, images = example((7, 6))
    layer = CRFRNN(num_classes=3, kernels=KERNELS).eval()
    with torch.inference_mode():
        refined = layer(logits, images)
    np.testing.assert_allclose(refined, layer(logits, images).detach(), atol=1e-5)  # two softmaxes round


def test_a_checkpoint_rebuilds_it(tmp_path):
    logits, images = example((7, 6))
    layer = CRFRNN(num_classes=3, kernels=KERNELS, num_steps=3, num_test_steps=4, normalization="before")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.rand_like(parameter))
    save_tensors(tmp_path / "crf.safetensors", layer.state_dict(), layer.to_dict())
    tensors, header = load_tensors(tmp_path / "crf.safetensors")
    rebuilt = CRFRNN.from_dict(header, tensors=tensors)
    assert rebuilt.to_dict() == layer.to_dict() == json.loads(json.dumps(layer.to_dict()))
    assert torch.equal(rebuilt(logits, images), layer(logits, images))
    assert torch.equal(rebuilt.eval()(logits, images), layer.eval()(logits, images))


def test_a_rebuilt_layer_keeps_the_precision_of_its_tensors():
    layer = CRFRNN(num_classes=2, kernels=KERNELS).double()
    rebuilt = CRFRNN.from_dict(layer.to_dict(), tensors=layer.state_dict())
    assert {parameter.dtype for parameter in rebuilt.parameters()} == {torch.float64}


def test_its_state_is_two_small_tensors():
    state = CRFRNN(num_classes=21, kernels=KERNELS).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert shapes == {"kernel_weights": (2, 21), "compatibility": (21, 21)}


@pytest.mark.parametrize(
    "change",
    [
        {"num_classes": 3},
        {"num_classes": 2.0},
        {"num_classes": 0},
        {"num_steps": -1},
        {"num_test_steps": None},
        {"kernels": []},
        {"kernels": [{"kernel": "Spatial", "sigma": -1.0}]},
        {"kernels": [{"kernel": "Spatial"}]},  # one kernel, weights for two
        {"normalization": "both"},
        {"temperature": 1},
    ],
)
def test_broken_settings_are_refused_in_one_line(change):
    layer = CRFRNN(num_classes=2, kernels=KERNELS)
    with pytest.raises(CheckpointError, match="holds no settings of CRFRNN") as caught:
        CRFRNN.from_dict({**layer.to_dict(), **change}, tensors=layer.state_dict())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["kernel_weights", "compatibility"])
def test_missing_or_unknown_tensors_are_refused(name):
    layer = CRFRNN(num_classes=2, kernels=KERNELS)
    tensors = layer.state_dict()
    value = tensors.pop(name)
    with pytest.raises(CheckpointError, match=name):
        CRFRNN.from_dict(layer.to_dict(), tensors=tensors)
    with pytest.raises(CheckpointError, match="bias"):
        CRFRNN.from_dict(layer.to_dict(), tensors={**tensors, name: value, "bias": value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_classes": 0}, "0 classes"),
        ({"kernels": []}, "no list of kernels"),
        ({"num_steps": -1}, "num_steps -1"),
        ({"num_test_steps": -1}, "num_steps -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CRFRNN(**{"num_classes": 2, "kernels": KERNELS, **settings})


def test_what_it_cannot_refine_is_refused():
    logits, images = example((7, 6))
    with pytest.raises(ShapeError, match="for a CRF of 21 classes"):
        CRFRNN(num_classes=21, kernels=KERNELS)(logits, images)
    with pytest.raises(ShapeError, match="no images"):
        CRFRNN(num_classes=3, kernels=KERNELS)(logits)
    with pytest.raises(ConfigError, match="features"):
        CRFRNN(num_classes=3, kernels=[Gaussian(torch.zeros(1, 7, 6))]).to_dict()


def draw_scenes(count: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy logits and labels (count, 32, 32): disks (1) in rims (2) two pixels wide, on the ground (0)."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(32.0)
    labels = torch.zeros(count, 32, 32, dtype=torch.int64)
    for label_map in labels:
        for _ in range(3):
            row, column, radius = (torch.rand(3, generator=generator) * torch.tensor([32, 32, 4])).tolist()
            distance = torch.hypot(rows[:, None] - row, rows - column)
            label_map[distance < radius + 6] = 2
            label_map[distance < radius + 4] = 1
    truth = one_hot(labels, 3).movedim(-1, 1)
    return 1.5 * truth + torch.randn(truth.shape, generator=generator), labels


def trained(layer: CRFRNN, logits: Tensor, labels: Tensor) -> CRFRNN:
    learned = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=0.1)
    for _ in range(40):
        optimizer.zero_grad()
        cross_entropy(layer(logits), labels).backward()
        optimizer.step()
    return layer.eval()


def iou_of_each_class(logits: Tensor, labels: Tensor) -> Tensor:
    found, truth = (one_hot(label_map, 3).bool() for label_map in (logits.argmax(1), labels))
    return (found & truth).sum((0, 1, 2)) / (found | truth).sum((0, 1, 2))


@pytest.mark.slow
def test_a_learned_compatibility_beats_potts_on_held_out_scenes():
    """That ground and disk never touch saves the rim between them, which Potts eats away.

    Potts learns its kernel weights here, as the other does. On five seeds, of which this is the first, the
    mean IoU was 0.034 to 0.050 higher, the rim's 0.068 to 0.107; 150 updates instead of 40 changed neither.
    """
    logits, labels = draw_scenes(8, seed=1)
    held_out, truth = draw_scenes(32, seed=2)
    potts, free = (
        CRFRNN(num_classes=3, kernels=[Spatial(sigma=2, weight=3)], num_test_steps=5) for _ in range(2)
    )
    potts.compatibility.requires_grad = False
    potts, free = trained(potts, logits, labels), trained(free, logits, labels)
    with torch.no_grad():
        of_potts, of_free = (iou_of_each_class(layer(held_out), truth) for layer in (potts, free))
    assert of_potts.mean() > iou_of_each_class(held_out, truth).mean() + 0.1  # it is no straw man
    assert of_free.mean() > of_potts.mean() + 0.02
    assert of_free[2] > of_potts[2] + 0.04
    assert free.compatibility[0, 1] > free.compatibility[0, 2] + 0.5  # ground beside disk, beside rim
    assert free.compatibility[1, 0] > free.compatibility[1, 2] + 0.5
