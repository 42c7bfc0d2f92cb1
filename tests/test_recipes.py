"""Every recipe in recipes/ is complete, current, and fits its network."""

from pathlib import Path

import pytest

from atrous.config import load_toml
from atrous.jobs.train import TrainConfig
from atrous.models.catalog import CATALOG, FRONT_ENDS

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_loads_and_its_stages_fit_the_network(path):
    config = load_toml(path, TrainConfig)
    assert config.network in CATALOG
    assert config.stages
    has_context = config.network in FRONT_ENDS or config.context_module != "none"
    assert has_context or "context" not in config.stages


def test_the_control_trains_as_many_steps_as_context_and_joint():
    recipe, control = (
        load_toml(RECIPES[0].with_name(f"{name}.toml"), TrainConfig)
        for name in ("camvid_light", "camvid_light_alone")
    )
    assert control.front_end.num_steps == recipe.context.num_steps + recipe.joint.num_steps
    assert control.front_end.learning_rate == recipe.joint.learning_rate
    assert control.front_end.frozen == recipe.joint.frozen
