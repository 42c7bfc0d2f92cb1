from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import ConfigError
from atrous.jobs.contenders import Contender, chosen, names_of, scaled, stages_of
from atrous.training.settings import Stage

STAGES = {
    "front_end": Stage(num_steps=60, learning_rate=0.1, frozen=("conv1_",), warmup_steps=9),
    "context": Stage(num_steps=30, learning_rate=0.2),
    "joint": Stage(num_steps=10, learning_rate=0.3, frozen=("conv1_",)),
}


def steps(stages):
    return {name: stage.num_steps for name, stage in stages.items()}


def test_a_contender_is_named_after_its_network():
    assert Contender("compact").name == "compact"
    assert Contender("compact", name="ours").name == "ours"


def test_named_networks_are_contenders_of_the_recipe_or_of_the_catalog():
    ours = Contender("compact", name="ours", learning_rate_factor=0.5)
    other = Contender("frontend")
    assert chosen((), (ours, other)) == (ours, other)
    assert chosen(("unet", "ours"), (ours, other)) == (Contender("unet"), ours)


@given(num_steps=st.integers(1, 10_000))
def test_scaled_stages_spend_exactly_the_budget_in_proportion(num_steps):
    counts = steps(scaled(STAGES, num_steps))
    assert sum(counts.values()) == num_steps
    for name, stage in STAGES.items():
        assert abs(counts[name] - num_steps * stage.num_steps / 100) < 1


def test_a_scaled_stage_warms_up_no_longer_than_it_lasts():
    assert [stage.warmup_steps for stage in scaled(STAGES, 10).values()] == [6, 0, 0]
    assert scaled(STAGES, 0) == STAGES


def test_all_networks_spend_the_same_budget():
    plain = stages_of(Contender("unet"), STAGES, has_context=False)
    assert plain == {"front_end": replace(STAGES["front_end"], num_steps=100)}
    assert stages_of(Contender("compact_context"), STAGES, has_context=True) == STAGES
    one = STAGES | {name: Stage() for name in ("context", "joint")}
    assert steps(stages_of(Contender("compact_context"), one, has_context=True)) == {"joint": 60}


def test_what_is_a_networks_own_changes_its_stages_and_no_others():
    own = Contender("compact_context", learning_rate_factor=0.5, frozen=("stem.",))
    stages = stages_of(own, STAGES, has_context=True)
    assert [stage.learning_rate for stage in stages.values()] == [0.05, 0.1, 0.15]
    assert [stage.frozen for stage in stages.values()] == [("stem.",), (), ("stem.",)]
    thawed = stages_of(replace(own, frozen=()), STAGES, has_context=True)
    assert [stage.frozen for stage in thawed.values()] == [(), (), ()]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Contender("a", learning_rate_factor=0), "learning_rate_factor is 0; it must be positive"),
        (lambda: Contender("a", name="x/y"), 'named "x/y", and a folder is named after it'),
        (lambda: Contender("a", name=".."), "does not begin with a dot"),
        (lambda: names_of([Contender("a"), Contender("a")]), "two contenders have one name"),
    ],
)
def test_impossible_contenders_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
