import pytest

from atrous.training.schedule import learning_rate_factor


def test_poly_falls_from_one_towards_zero_by_its_power():
    factors = [learning_rate_factor(step, num_steps=10, schedule="poly") for step in range(10)]
    assert factors == [pytest.approx((1 - step / 10) ** 0.9) for step in range(10)]
    assert factors[0] == 1.0
    assert 0 < factors[-1] < 0.13


def test_step_divides_by_ten_after_each_third():
    factors = [learning_rate_factor(step, num_steps=9, schedule="step") for step in range(9)]
    assert factors == [pytest.approx(value) for value in (1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01)]


def test_step_divides_by_ten_at_each_milestone():
    factors = [
        learning_rate_factor(step, num_steps=6, schedule="step", milestones=(2, 5)) for step in range(6)
    ]
    assert factors == [pytest.approx(value) for value in (1, 1, 0.1, 0.1, 0.1, 0.01)]


def test_constant_stays():
    assert {learning_rate_factor(step, num_steps=5, schedule="constant") for step in range(5)} == {1.0}


@pytest.mark.parametrize("schedule", ["poly", "step", "constant"])
def test_warmup_grows_linearly_and_then_leaves_the_schedule_alone(schedule):
    plain, warm = (
        [
            learning_rate_factor(step, num_steps=20, schedule=schedule, warmup_steps=warmup)
            for step in range(20)
        ]
        for warmup in (0, 3)
    )
    growth = [0.25, 0.5, 0.75, *[1.0] * 17]
    assert warm == [pytest.approx(factor * part) for factor, part in zip(plain, growth, strict=True)]
