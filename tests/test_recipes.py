"""Every recipe in recipes/ is complete, current, and fits its network."""

from pathlib import Path

import pytest
import torch

from atrous.config import load_toml
from atrous.jobs.compare import CompareConfig
from atrous.jobs.contenders import stages_of
from atrous.jobs.train import TrainConfig
from atrous.models.catalog import CATALOG, FRONT_ENDS, build_network

EVERY = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))
COMPARISONS = [path for path in EVERY if path.stem.startswith("compare_")]
RECIPES = [path for path in EVERY if path not in COMPARISONS]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_loads_and_its_stages_fit_the_network(path):
    config = load_toml(path, TrainConfig)
    assert config.network in CATALOG
    assert config.stages
    has_context = config.network in FRONT_ENDS or config.context_module != "none"
    assert has_context or "context" not in config.stages


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.stem)
def test_comparison_loads_and_its_networks_spend_one_budget(path):
    config = load_toml(path, CompareConfig)
    assert config.contenders
    stages = {name: getattr(config, name) for name in ("front_end", "context", "joint")}
    for contender in config.contenders:
        for has_context in (False, True):
            own = stages_of(contender, stages, has_context=has_context)
            assert sum(stage.num_steps for stage in own.values()) == sum(
                stage.num_steps for stage in stages.values()
            )


def test_the_control_trains_as_many_steps_as_context_and_joint():
    recipe, control = (
        load_toml(RECIPES[0].with_name(f"{name}.toml"), TrainConfig)
        for name in ("camvid_light", "camvid_light_alone")
    )
    assert control.front_end.num_steps == recipe.context.num_steps + recipe.joint.num_steps
    assert control.front_end.learning_rate == recipe.joint.learning_rate
    assert control.front_end.frozen == recipe.joint.frozen


def test_the_two_networks_for_membranes_differ_in_nothing_but_the_network():
    dilated, unet = (
        load_toml(RECIPES[0].with_name(f"isbi2012_{name}.toml"), TrainConfig) for name in ("dilated", "unet")
    )
    assert dilated.stages == unet.stages
    with torch.device("meta"):
        sizes = [
            build_network(
                config.network, num_classes=2, context_module=config.context_module
            ).num_parameters()
            for config in (dilated, unet)
        ]
    assert 0.9 < sizes[1] / sizes[0] < 1.0


MARGIN = 2 * 186  # the released scripts' crops are inputs, margin included
PUBLISHED = {  # recipe, stage: steps, batch, input side, learning rate, momentum
    ("voc_dilation8", "front_end"): (60_000, 14, 500, 1e-3, 0.9),
    ("voc_dilation8", "context"): (None, 60, 900, 1e-3, 0.9),
    ("voc_coco_front_end", "front_end"): (100_000 + 40_000, 14, 500, 1e-3, 0.9),
    ("voc_coco_dilation8", "front_end"): (50_000, 14, 500, 1e-5, 0.9),
    ("voc_coco_dilation8", "context"): (None, 60, 900, 1e-3, 0.9),
    ("camvid_dilation8", "front_end"): (20_000, 8, 628, 1e-4, 0.99),
    ("camvid_dilation8", "joint"): (None, 1, 852, 1e-5, 0.9),
    ("kitti_dilation7", "front_end"): (10_000, 8, 628, 1e-4, 0.99),
    ("kitti_dilation7", "joint"): (20_000, 1, 900, 1e-5, 0.99),
    ("cityscapes_dilation10", "front_end"): (40_000, 8, 628, 1e-4, 0.99),
    ("cityscapes_dilation10", "context"): (24_000, 100, (1024, 2048), 1e-4, 0.99),  # whole images
    ("cityscapes_dilation10", "joint"): (60_000, 1, 1396, 1e-5, 0.99),
}


@pytest.mark.parametrize(("recipe", "stage"), PUBLISHED, ids="-".join)
def test_recipe_has_the_published_settings(recipe, stage):
    num_steps, batch_size, side, learning_rate, momentum = PUBLISHED[recipe, stage]
    settings = load_toml(RECIPES[0].with_name(f"{recipe}.toml"), TrainConfig).stages[stage]
    assert num_steps in (None, settings.num_steps)  # None: the paper leaves it open
    assert settings.batch_size == batch_size
    assert settings.crop_size == (side if isinstance(side, tuple) else (side - MARGIN, side - MARGIN))
    assert settings.mirror == (stage != "context")
    assert settings.loss_stride == (1 if (recipe, stage) == ("cityscapes_dilation10", "joint") else 8)
    assert (settings.learning_rate, settings.momentum) == (learning_rate, momentum)
    assert (settings.optimizer, settings.weight_decay, settings.loss) == ("sgd", 5e-4, "cross_entropy")


@pytest.mark.parametrize("recipe", ["voc_dilation8", "voc_coco_dilation8"])
def test_large_context_module_starts_with_the_released_noise(recipe):
    assert load_toml(RECIPES[0].with_name(f"{recipe}.toml"), TrainConfig).noise == 0.01


def test_coco_learning_rate_falls_after_100000_steps():
    settings = load_toml(RECIPES[0].with_name("voc_coco_front_end.toml"), TrainConfig).front_end
    assert (settings.schedule, settings.milestones) == ("step", (100_000,))
