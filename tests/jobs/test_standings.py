import json
from dataclasses import replace
from pathlib import Path

from atrous.jobs.compare import CompareConfig
from atrous.jobs.network_cost import NetworkCost
from atrous.jobs.prediction_cost import PredictionCost
from atrous.jobs.standings import Spread, Standing, Trial, describe_budget, describe_measures
from atrous.jobs.train import TrainConfig
from atrous.training.settings import Stage

COST = NetworkCost(73_445, 560_000_000, (240, 320), 4, 32, sees_all=False)
SPEED = PredictionCost(21.5, 50_000_000, (240, 320), "torch on cpu, float32", 2, others=0.05)
TRIALS = (
    Trial(0, 0.5, 0.75, 0.9, {"a": 0.5}),
    Trial(1, 0.75, 0.5, 0.9, {"a": 0.75}),
    Trial(2, reason="diverged"),
)
CONFIG = CompareConfig(data=Path("DATA"), networks=("compact",))


def test_spread_is_over_the_seeds_that_did_not_fail():
    standing = Standing("compact", COST, TRIALS, SPEED)
    assert standing.mean_iou == Spread(0.625, 0.5, 0.75)
    assert standing.boundary_f_score == Spread(0.625, 0.5, 0.75)
    assert standing.reason == "seed 2: diverged"
    assert standing.to_line().mean_iou == (0.5, 0.75)


def test_a_network_that_could_not_be_built_has_a_reason_and_no_scores():
    standing = Standing("no", None, (), None, why_not="no such network")
    assert standing.mean_iou is None
    assert standing.reason == "no such network"
    assert json.loads(json.dumps(standing.to_dict()))["cost"] is None
    assert standing.to_line().parameters is None


def test_trials_are_what_evaluate_wrote(tmp_path):
    path = tmp_path / "scores.json"
    scores = {"mean_iou": 0.25, "boundary_f_score": 0.5, "pixel_accuracy": 0.75, "per_class_iou": {"a": 0.25}}
    path.write_text(json.dumps(scores | {"confusion_matrix": [[1]]}))
    assert Trial.read(3, path) == Trial(3, 0.25, 0.5, 0.75, {"a": 0.25})
    assert Trial.read(3, path).summary == "mean IoU 25.0"
    assert TRIALS[2].summary == "failed: diverged"


def test_the_budget_is_said_by_who_spends_it_alike():
    one = TrainConfig(front_end=Stage(num_steps=10))
    two = TrainConfig(front_end=Stage(num_steps=7), context=Stage(num_steps=2), joint=Stage(num_steps=1))
    (line,) = describe_budget({"a": one, "b": two, "c": one})
    assert line == (
        "updates: 10 of each network, by stages (a, c: 10 front_end; b: 7 front_end, 2 context, 1 joint)"
    )


def test_speeds_come_with_their_engine_and_a_warning_where_others_were_busy():
    quiet = Standing("compact", COST, TRIALS, SPEED)
    busy = replace(quiet, speed=replace(SPEED, others=1.4))
    lines = describe_measures(CONFIG, [quiet])
    assert "an image of 320 x 240 px" in lines[1]
    assert "torch on cpu, float32, 2 threads" in lines[2]
    assert len(lines) == 3
    assert "other processes kept up to 1.4 cores busy" in describe_measures(CONFIG, [quiet, busy])[3]
    assert "not measured" in describe_measures(CONFIG, [replace(quiet, speed=None)])[2]
