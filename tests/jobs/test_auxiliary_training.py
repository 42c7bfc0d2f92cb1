"""Stages that train a network along with its auxiliary head, and such that leave the head alone."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from atrous.errors import ConfigError
from atrous.jobs.auxiliary_training import WithAuxiliary
from atrous.jobs.stage_plan import plan_stages
from atrous.jobs.train import TrainConfig, train
from atrous.models.backbone import Backbone, Stage
from atrous.models.catalog import load_network
from atrous.models.context import ContextModule
from atrous.models.contract import PLAIN_RGB, LogitGeometry
from atrous.models.dilated_net import DilatedNet
from atrous.models.heads import Head, TwoHeads
from atrous.training.optimizers import build_optimizer, train_
from atrous.training.settings import Stage as Settings

SETTINGS = Settings(num_steps=2, batch_size=2, crop_size=(16, 16), learning_rate=0.01)


class Small(Backbone):
    """Two stages at strides 1 and 2, with batch normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.normalization = PLAIN_RGB
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.stages = (Stage(4, LogitGeometry(1, 0.0, 3)), Stage(6, LogitGeometry(2, 0.0, 5)))

    def forward(self, images):
        first = self.first(images)
        return first, self.second(first)


def two_heads() -> TwoHeads:
    torch.manual_seed(0)
    heads = (Head(nn.Conv2d(channels, 3, 1), cells=1) for channels in (6, 4))
    return TwoHeads(Small(), *heads, num_classes=3)


def test_the_loss_is_that_of_both_heads_where_their_logits_lie():
    """The auxiliary logits lie at every pixel, the network's at every second, where the labels count."""
    network = two_heads()
    settings = replace(SETTINGS, loss_stride=2, auxiliary_weight=0.3)
    (plan,) = plan_stages(TrainConfig(front_end=settings), network, None)
    assert isinstance(plan.module, WithAuxiliary)
    images, labels = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 4, 4))
    logits, auxiliary = network.forward_with_auxiliary(images)
    assert (logits.shape, auxiliary.shape) == ((2, 3, 4, 4), (2, 3, 8, 8))
    wanted = nn.functional.cross_entropy(logits, labels)
    wanted = wanted + 0.3 * nn.functional.cross_entropy(auxiliary[..., ::2, ::2], labels)
    torch.testing.assert_close(plan.rule.objective(plan.module(images), labels), wanted)


def test_heads_that_are_not_trained_are_frozen():
    network = two_heads()
    (plan,) = plan_stages(TrainConfig(front_end=replace(SETTINGS, auxiliary_weight=0.0)), network, None)
    assert plan.module is network
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {"aux_classifier.0.weight", "aux_classifier.0.bias"}

    below = DilatedNet(front_end=two_heads(), context=ContextModule(3, dilations=(1,)))
    config = TrainConfig(front_end=SETTINGS, joint=SETTINGS)
    front_end, joint = plan_stages(config, below, None)
    assert isinstance(front_end.module, WithAuxiliary)
    assert joint.stage.frozen == ("aux_classifier.",)
    build_optimizer(front_end.module, front_end.stage)
    assert all(parameter.requires_grad for parameter in below.front_end.parameters())


def test_new_layers_keep_their_names_inside():
    (plan,) = plan_stages(TrainConfig(front_end=SETTINGS), two_heads(), None)
    names = [name for name, _ in plan.module.named_parameters() if name.startswith(tuple(plan.new_layers))]
    assert names == [f"network.{head}.0.{kind}" for head in ("classifier", "aux_classifier") for kind in
                     ("weight", "bias")]  # fmt: skip


def test_frozen_batch_norms_keep_their_statistics():
    network = two_heads()
    build_optimizer(network, replace(SETTINGS, frozen=("backbone.first.",)))
    train_(network)
    statistics = network.backbone.get_buffer("first.1.running_mean").clone()
    network(torch.randn(2, 3, 8, 8))
    assert network.backbone.get_buffer("first.1.running_mean").equal(statistics)
    build_optimizer(network, SETTINGS)
    train_(network)
    network(torch.randn(2, 3, 8, 8))
    assert not network.backbone.get_buffer("first.1.running_mean").equal(statistics)


def test_one_crop_a_batch_is_refused_where_the_whole_image_is_pooled():
    network = two_heads()
    network.geometry = replace(network.geometry, is_global=True)
    config = TrainConfig(front_end=replace(SETTINGS, batch_size=1))
    with pytest.raises(ConfigError, match=r"front_end: batch_size 1 leaves batch normalization one value"):
        plan_stages(config, network, None)


@pytest.mark.slow
def test_a_network_of_the_catalog_trains_with_its_auxiliary_head_on_another_backbone(tiny_data, tmp_path):
    config = TrainConfig(
        data=tiny_data,
        output=tmp_path / "run",
        network="deeplab_v3_resnet50",
        backbone="resnet18",
        device="cpu",
        precision="float32",
        front_end=replace(SETTINGS, crop_size=(32, 32)),
    )
    result = train(config)
    network = load_network(result.checkpoint)
    assert isinstance(network, TwoHeads)
    assert [stage.channels for stage in network.backbone.stages] == [64, 128, 256, 512]
    assert network.backbone.get_buffer("bn1.num_batches_tracked") == 2
