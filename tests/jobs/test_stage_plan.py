from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.errors import ConfigError
from atrous.jobs.stage_plan import plan_stages
from atrous.jobs.train import TrainConfig
from atrous.layers.upsample import BilinearUpsampling
from atrous.models.catalog import build_network
from atrous.models.context import ContextModule
from atrous.models.dilated_net import DilatedNet
from atrous.models.frontend import FrontEnd, Head
from atrous.training.settings import Stage

STAGE = Stage(num_steps=7)
CONFIG = TrainConfig(seed=2, front_end=STAGE, context=replace(STAGE, num_steps=5), joint=STAGE)


def build(name="compact_context"):
    torch.manual_seed(0)
    return build_network(name, num_classes=3)


def only(config_stage, network, *, class_weights=None):
    """The plan of a run of that one stage."""
    (plan,) = plan_stages(TrainConfig(front_end=config_stage), network, class_weights)
    return plan


def cross_entropy_by_hand(logits, labels, weights=None):
    """Mean over valid places of -log softmax, in float64, one place after the other."""
    total, count = 0.0, 0
    for image, row, column in np.argwhere(labels != 255):
        scores, label = logits[image, :, row, column].astype(np.float64), labels[image, row, column]
        factor = 1.0 if weights is None else weights[label]
        total += factor * (np.log(np.exp(scores).sum()) - scores[label])
        count += 1
    return total / count


def test_stages_come_in_order_with_their_parts():
    network = build()
    front_end, context, joint = plan_stages(CONFIG, network, None)
    assert [plan.name for plan in (front_end, context, joint)] == ["front_end", "context", "joint"]
    assert [plan.first_step for plan in (front_end, context, joint)] == [0, 7, 12]
    assert (front_end.subject, front_end.module) == (network.front_end, network.front_end)
    assert (context.subject, context.module) == (network, network.context)
    assert (joint.subject, joint.module) == (network, network)


def test_context_module_below_an_upsampling_layer_learns_on_its_own_cells():
    """The whole network of Dilation10 has logits at every pixel, its context module at every 8th."""
    torch.manual_seed(0)
    front_end = build("compact")
    upsampling = BilinearUpsampling(3, factor=4)
    network = DilatedNet(front_end=front_end, context=ContextModule(3, dilations=(1,)), upsampling=upsampling)
    on_cells = replace(STAGE, loss_stride=4)
    (context,) = plan_stages(TrainConfig(context=on_cells), network, None)
    labels = torch.randint(0, 3, (1, 5, 6))
    logits = torch.randn(1, 3, 5, 6)
    loss = context.rule.objective(logits, labels)
    assert loss.item() == pytest.approx(cross_entropy_by_hand(logits.numpy(), labels.numpy()))
    with pytest.raises(ConfigError, match=r"joint: loss_stride 4 is beyond the output stride .*; at most 1"):
        plan_stages(TrainConfig(joint=on_cells), network, None)


def test_no_two_stages_of_no_two_seeds_see_the_same_crops():
    seeds = [
        plan.data_seed for seed in range(3) for plan in plan_stages(replace(CONFIG, seed=seed), build(), None)
    ]
    assert len(set(seeds)) == 9


def test_a_front_end_alone_is_trained_whole():
    network = build("compact")
    plan = only(STAGE, network)
    assert plan.subject is plan.module is network


def test_new_layers_are_the_head_and_all_of_a_context_module():
    torch.manual_seed(0)
    front = FrontEnd(3, padding="same", head=Head(channels=8, kernel_size=3, dilation=12))
    network = DilatedNet(front_end=front, context=ContextModule(3))
    for plan in plan_stages(CONFIG, network, None):
        new = [name for name, _ in plan.module.named_parameters() if name.startswith(tuple(plan.new_layers))]
        old = {name for name, _ in plan.module.named_parameters()} - set(new)
        assert all("conv" in name for name in old)
        assert bool(old) == (plan.name != "context")


def test_the_loss_at_the_output_stride_compares_cell_r_with_pixel_stride_r():
    """As the released scripts do: labels taken every 8th pixel, no upsampling."""
    network, stride = build("compact"), 4
    generator = np.random.default_rng(0)
    labels = generator.choice([0, 1, 2, 255], (2, 30, 21)).astype(np.uint8)
    logits = generator.normal(size=(2, 3, 8, 6)).astype(np.float32)
    plan = only(replace(STAGE, loss_stride=stride), network)
    taken = labels[:, ::stride, ::stride]
    loss = plan.rule.objective(torch.from_numpy(logits), torch.from_numpy(taken).long())
    at_cells = np.full((2, 8, 6), 255)
    for row in range(8):
        for column in range(6):
            at_cells[:, row, column] = labels[:, stride * row, stride * column]
    assert loss.item() == pytest.approx(cross_entropy_by_hand(logits, at_cells), rel=1e-5)


@pytest.mark.parametrize("loss_stride", [1, 2, 3])
def test_the_loss_reads_logits_where_the_labels_lie(loss_stride):
    network, size = build("compact"), (14, 11)
    generator = np.random.default_rng(1)
    labels = generator.choice([0, 1, 2, 255], (1, *size)).astype(np.uint8)[:, ::loss_stride, ::loss_stride]
    logits = generator.normal(size=(1, 3, 4, 3)).astype(np.float32)
    places = [
        ((np.arange(0, side, loss_stride) - network.center) / network.output_stride).clip(0, cells - 1)
        for side, cells in zip(size, (4, 3), strict=True)
    ]
    by_rows = np.apply_along_axis(
        lambda line: np.interp(places[0], np.arange(4), line), 2, logits.astype(np.float64)
    )
    at_labels = np.apply_along_axis(lambda line: np.interp(places[1], np.arange(3), line), 3, by_rows)
    weights = np.array([1.0, 5.0, 0.5], np.float32)
    stage = replace(STAGE, loss_stride=loss_stride, class_weights="median_frequency")
    plan = only(stage, network, class_weights=torch.from_numpy(weights))
    loss = plan.rule.objective(torch.from_numpy(logits), torch.from_numpy(labels).long())
    assert loss.item() == pytest.approx(cross_entropy_by_hand(at_labels, labels, weights), rel=1e-5)


def test_the_schedule_is_the_stages():
    plan = only(replace(STAGE, num_steps=9, schedule="step", warmup_steps=1), build("compact"))
    assert [plan.rule.schedule(step) for step in (0, 1, 3, 8)] == pytest.approx([0.5, 1.0, 0.1, 0.01])


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (replace(STAGE, loss_stride=5), "front_end: loss_stride 5 is beyond .* at most 4"),
        (replace(STAGE, frozen=("nothing",)), "front_end: frozen = .* matches no layer"),
        (replace(STAGE, frozen=("conv", "final")), "front_end: frozen = .* leaves nothing to train"),
        (replace(STAGE, loss="hinge"), "front_end: loss 'hinge'"),
        (replace(STAGE, scale=(0.0, 1.0)), "front_end: scale"),
        (replace(STAGE, scale=(2.0, 1.0)), "front_end: scale"),
        (replace(STAGE, color=1.5), "front_end: color"),
    ],
)
def test_a_stage_that_does_not_fit_is_named(stage, message):
    with pytest.raises(ConfigError, match=message):
        only(stage, build("compact"))


def test_plan_refuses_class_weights_that_the_loss_cannot_take():
    stage = replace(STAGE, loss="dice", class_weights="median_frequency")
    with pytest.raises(ConfigError, match="takes no class weights"):
        only(stage, build("compact"), class_weights=torch.ones(3))


def test_plan_refuses_a_run_without_steps():
    with pytest.raises(ConfigError, match="no stage has any steps"):
        plan_stages(TrainConfig(), build(), None)


def test_plan_refuses_a_context_stage_without_a_context_module():
    with pytest.raises(ConfigError, match="context: there is no context module to train"):
        plan_stages(TrainConfig(context=STAGE), build("compact"), None)
