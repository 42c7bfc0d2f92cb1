"""Stages of a network with dropout, which no small network of the catalog has."""

import signal
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from atrous.data.open import open_dataset
from atrous.errors import StoppedError
from atrous.jobs.interrupt import Wish
from atrous.jobs.progress import drain
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.run_state import Position
from atrous.jobs.stage_files import Bench
from atrous.jobs.stage_plan import plan_stages
from atrous.jobs.train import TrainConfig
from atrous.jobs.training_stage import StageRun
from atrous.layers.blocks import CeilMaxPool
from atrous.models.context import ContextModule
from atrous.models.contract import PLAIN_RGB, DenseNetwork, LogitGeometry
from atrous.models.dilated_net import DilatedNet
from atrous.training.settings import Stage

AUGMENTED = Stage(num_steps=4, batch_size=2, crop_size=(32, 32), learning_rate=0.01, scale=(0.8, 1.2))


class Dropping(DenseNetwork):
    """A front end of two convolutions with dropout between them, at stride 2."""

    def __init__(self):
        super().__init__()
        self.num_classes = 3
        self.normalization = PLAIN_RGB
        self.geometry = LogitGeometry(output_stride=2, center=0.5, receptive_field=6)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), CeilMaxPool(), nn.Dropout(0.5), nn.Conv2d(8, 3, 3, padding=1)
        )

    def forward(self, images):
        return self.layers(images)

    def class_layers(self):
        return ()

    def new_layers(self):
        return ()


@pytest.fixture
def config(tiny_data, tmp_path):
    return TrainConfig(data=tiny_data, output=tmp_path / "whole", save_every=100, validate_every=2)


def bench_of(config, *, rows=None):
    torch.manual_seed(0)
    network = DilatedNet(front_end=Dropping(), context=ContextModule(3, dilations=(1, 2), noise=0.1))
    return Bench(
        config=config,
        fabric=Fabric(accelerator="cpu", devices=1),
        network=network,
        train_set=open_dataset(config.data, "train"),
        val_set=open_dataset(config.data, "val"),
        folder=RunFolder(config.output),
        wish=Wish(),
        log=lambda row: None if rows is None else rows.append(row),
    )


def stage_run(bench, state=None):
    (plan,) = plan_stages(bench.config, bench.network, None)
    position = state.position if state else Position(plan.name, 0)
    if state:
        bench.network.load_state_dict(state.part("network"))
    return StageRun(bench, plan, position, state)


def run_until(bench, step):
    """Run the stage and ask it to stop at that step."""
    if step == 1:
        bench.wish.signal = signal.SIGINT
    for progress in stage_run(bench).run():
        if progress.values and progress.done == step - 1:
            bench.wish.signal = signal.SIGINT


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stop"), [("front_end", 2), ("context", 1), ("context", 3)])
def test_a_stage_with_dropout_stopped_and_resumed_is_the_uninterrupted_one(config, name, stop):
    """Also where a validation lies before the stop, or after it."""
    config = replace(config, **{name: AUGMENTED})
    whole = bench_of(config)
    drain(stage_run(whole).run())
    broken = bench_of(replace(config, output=config.output.with_name("broken")))
    with pytest.raises(StoppedError, match=f"stopped after step {stop} of {name}"):
        run_until(broken, stop)
    resumed = bench_of(broken.config)
    drain(stage_run(resumed, broken.folder.load_state()).run())
    for key, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[key], value), key


@pytest.mark.slow
def test_the_front_end_of_the_context_stage_has_no_dropout(config):
    """Not even after a validation."""
    bench = bench_of(replace(config, context=AUGMENTED))
    dropout, context = (
        bench.network.get_submodule("front_end.layers.2"),
        bench.network.get_submodule("context"),
    )
    modes = {(dropout.training, context.training) for _ in stage_run(bench).run()}
    assert modes == {(False, True)}


@pytest.mark.slow
def test_every_row_of_the_log_is_told(config):
    rows = []
    position = drain(stage_run(bench_of(replace(config, front_end=AUGMENTED), rows=rows)).run())
    assert [row.step for row in rows] == [2, 4]
    assert tuple(rows) == position.rows
