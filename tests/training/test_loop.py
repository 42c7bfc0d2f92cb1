import copy

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from atrous.errors import TrainingError
from atrous.training.average import build_average
from atrous.training.loop import Rule, Trainee, fit
from atrous.training.losses import cross_entropy
from atrous.training.optimizers import build_optimizer, optimizer_tensors, restore_optimizer_
from atrous.training.settings import Stage

NUM_CLASSES = 3


def small_network(*, dropout=0.0):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(4, NUM_CLASSES, 1)
    )


def examples(*, number, batch_size=2, start=0):
    """Random images and labels, by number; the share of ignored pixels differs from image to image."""
    for index in range(start, number):
        generator = torch.Generator().manual_seed(index)
        images = torch.randn(batch_size, 3, 6, 5, generator=generator)
        labels = torch.randint(0, NUM_CLASSES, (batch_size, 6, 5), generator=generator, dtype=torch.uint8)
        labels[:, : index % 7] = 255  # of number 6, nothing is left
        yield images, labels


def trained(network, batches, steps, *, stage=Stage(learning_rate=0.1), accumulate=1, state=None):  # noqa: B008
    """The updates of a network trained in place, and its optimizer."""
    fabric = Fabric(accelerator="cpu", devices=1)
    optimizer = build_optimizer(network, stage)
    if state is not None:
        restore_optimizer_(optimizer, state)
    network.train()
    trainee = Trainee(*fabric.setup(network, optimizer))
    rule = Rule(cross_entropy, lambda step: 1 / (step + 1), accumulate=accumulate, seed=3)
    return list(fit(trainee, batches, fabric=fabric, rule=rule, steps=steps)), optimizer


def weights(network):
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def assert_same_bits(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_fit_makes_the_update_that_the_definition_makes():
    network, expected = small_network(), small_network()
    (images, labels) = next(examples(number=3, start=2))
    updates, _ = trained(network, iter([(images, labels)]), range(1))
    loss = nn.functional.cross_entropy(expected(images), labels.long(), ignore_index=255)
    loss.backward()
    for name, parameter in expected.named_parameters():
        rate = 0.2 if name.endswith("bias") else 0.1
        decay = 0.0 if name.endswith("bias") else Stage().weight_decay
        assert parameter.grad is not None
        moved = parameter.detach() - rate * (parameter.grad + decay * parameter.detach())
        torch.testing.assert_close(network.get_parameter(name).detach(), moved)
    assert [update.loss for update in updates] == [pytest.approx(loss.item())]
    assert (updates[0].step, updates[0].num_images, updates[0].learning_rate_factor) == (1, 2, 1.0)
    assert 0 <= updates[0].waiting <= updates[0].seconds


def test_two_micro_batches_make_the_update_of_the_joint_batch():
    """Also where one of them has few valid pixels, or none at all."""
    small, large = small_network(), small_network()
    pairs = list(examples(number=8))  # pair 6 of them has no valid pixel
    joint = [
        (torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]]))
        for first, second in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    halves, _ = trained(small, iter(pairs), range(4), accumulate=2)
    wholes, _ = trained(large, iter(joint), range(4))
    assert [update.num_images for update in halves] == [4] * 4 == [update.num_images for update in wholes]
    assert [update.loss for update in halves] == [pytest.approx(update.loss) for update in wholes]
    for name, value in weights(small).items():
        torch.testing.assert_close(value, large.state_dict()[name], atol=1e-6, rtol=1e-5)


def test_an_update_without_a_valid_pixel_has_no_loss():
    network = small_network()
    updates, _ = trained(network, examples(number=7, start=6), range(1), stage=Stage(weight_decay=0.0))
    assert updates[0].loss == 0.0
    assert_same_bits(weights(network), weights(small_network()))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("stop", [1, 3])
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(kind, stop):
    """With dropout, whose masks depend on the update alone."""
    stage = Stage(optimizer=kind, learning_rate=0.01)
    whole = small_network(dropout=0.5)
    trained(whole, examples(number=5), range(5), stage=stage)
    network = small_network(dropout=0.5)
    _, optimizer = trained(network, examples(number=5), range(stop), stage=stage)
    resumed = small_network(dropout=0.5)
    resumed.load_state_dict(copy.deepcopy(network.state_dict()))
    torch.rand(17)  # randomness used up elsewhere changes nothing
    state = optimizer_tensors(optimizer)
    trained(resumed, examples(number=5, start=stop), range(stop, 5), stage=stage, state=state)
    assert_same_bits(weights(resumed), weights(whole))


def test_dropout_differs_from_update_to_update_and_from_seed_to_seed():
    networks = [small_network(dropout=0.5) for _ in range(3)]
    same = next(examples(number=1))
    fabric = Fabric(accelerator="cpu", devices=1)
    for network, seed, steps in zip(networks, (0, 1, 0), (range(1), range(1), range(1, 2)), strict=True):
        trainee = Trainee(*fabric.setup(network, build_optimizer(network, Stage())))
        rule = Rule(cross_entropy, lambda _: 1.0, seed=seed)
        list(fit(trainee, iter([same]), fabric=fabric, rule=rule, steps=steps))
    first = weights(networks[0])
    for other in networks[1:]:
        assert not torch.equal(first["0.weight"], other.state_dict()["0.weight"])


def test_fit_keeps_the_running_average():
    network = small_network()
    average = build_average(network, decay=0.5)
    fabric = Fabric(accelerator="cpu", devices=1)
    module, optimizer = fabric.setup(network, build_optimizer(network, Stage(learning_rate=0.1)))
    trainee = Trainee(module, optimizer, average)
    rule = Rule(cross_entropy, lambda _: 1.0)
    expected = {}
    for _ in fit(trainee, examples(number=4), fabric=fabric, rule=rule, steps=range(4)):
        now = weights(network)
        expected = {name: (expected.get(name, value) + value) / 2 for name, value in now.items()}
    for name, value in average.module.state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_fit_refuses_a_loss_that_is_not_finite_and_keeps_the_weights_before_it():
    network = small_network()
    broken = (torch.full((1, 3, 6, 5), float("nan")), torch.zeros(1, 6, 5, dtype=torch.uint8))
    good = next(examples(number=1))
    fabric = Fabric(accelerator="cpu", devices=1)
    trainee = Trainee(*fabric.setup(network, build_optimizer(network, Stage())))
    updates = fit(
        trainee, iter([good, broken]), fabric=fabric, rule=Rule(cross_entropy, lambda _: 1.0), steps=range(2)
    )
    next(updates)
    before = weights(network)
    with pytest.raises(TrainingError, match="the loss of update 2 is nan; lower the learning rate"):
        next(updates)
    assert_same_bits(weights(network), before)


def test_fit_ends_with_the_examples():
    updates, _ = trained(small_network(), examples(number=5), range(4), accumulate=2)
    assert len(updates) == 2
