import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from atrous.data.labels import IGNORE
from atrous.data.scenes import PATH, Scenes
from atrous.errors import ConfigError, OutputError
from atrous.evaluation.metrics import Counts, Scores
from atrous.figures.curves import Course
from atrous.inference.predictor import Predictor
from atrous.jobs.demo import DemoConfig, DemoResult, Training, run
from atrous.jobs.demo_report import Contestant, Story, tell
from atrous.jobs.demo_sight import look
from atrous.jobs.demo_trial import BEST_GUESS, Verdict, ceiling, run_trial
from atrous.jobs.progress import drain
from atrous.jobs.train import TrainConfig
from atrous.models.catalog import build_network
from atrous.training.settings import Stage

SCENES = Scenes("test")


@pytest.fixture(scope="module")
def alone() -> Predictor:
    torch.manual_seed(0)
    return Predictor(build_network("compact", num_classes=6), device="cpu")


@pytest.fixture(scope="module")
def both() -> Predictor:
    """A context module far off the identity, so that it mixes what it sees."""
    torch.manual_seed(0)
    network = build_network("compact", num_classes=6, context_module="basic", noise=0.3)
    return Predictor(network, device="cpu")


@pytest.fixture(scope="module")
def verdicts(alone, both) -> dict[str, Verdict]:
    return drain(run_trial({"alone": alone, "both": both}, SCENES, num_layouts=1))


def test_moving_the_rings_changes_no_score_of_the_front_end_at_a_core(verdicts):
    """Exactly none, for these and so for any weights: its window does not reach a ring."""
    assert verdicts["alone"].num_core_pixels > 3000
    assert verdicts["alone"].num_changed == 0
    assert verdicts["alone"].largest_change == 0.0


def test_moving_the_rings_changes_scores_of_the_context_module(verdicts):
    assert verdicts["both"].largest_change > 0


def test_trial_scores_every_turn(verdicts):
    labels = np.stack([SCENES[turn].labels for turn in range(3)])
    in_truth = verdicts["alone"].scores.confusion_matrix.sum(1)
    assert in_truth.tolist() == np.bincount(labels.ravel(), minlength=6).tolist()


def test_ceiling_is_what_the_best_guesses_reach():
    """All that can be known is right, and the three names are spread evenly over each core."""
    counts = Counts.zeros(6)
    for turn in range(3):
        labels = SCENES[turn].labels
        label_map = labels.astype(np.int64)
        on_core = np.argwhere(SCENES[0].labels >= 3).T
        label_map[tuple(on_core)] = 3 + np.arange(on_core.shape[1]) % 3
        counts += Counts.of_image(label_map, labels, num_classes=6)
    scores = Scores.from_counts(counts, names=SCENES.label_set.names)
    assert scores.mean_iou == pytest.approx(ceiling(6), abs=1e-3)
    assert scores.per_class_iou["core alone"] == pytest.approx(BEST_GUESS, abs=1e-3)


@pytest.mark.parametrize("name", SCENES.label_set.names[3:])
def test_one_name_for_all_cores_stays_below_the_ceiling(name):
    counts = Counts.zeros(6)
    for turn in range(3):
        labels = SCENES[turn].labels
        label_map = np.where(labels >= 3, SCENES.label_set.names.index(name), labels.astype(np.int64))
        counts += Counts.of_image(label_map, labels, num_classes=6)
    assert Scores.from_counts(counts, names=SCENES.label_set.names).mean_iou < ceiling(6)


def test_front_end_hangs_on_its_receptive_field_and_no_pixel_beyond(alone):
    sight = look(alone, SCENES[0].image, place=(120, 120), label=3)
    rows, columns = np.nonzero(sight.gradient)
    row, column = sight.center
    assert np.abs(rows + 0.5 - row).max() <= alone.network.receptive_field / 2
    assert np.abs(columns + 0.5 - column).max() <= alone.network.receptive_field / 2
    assert 16 < min(sight.extent) <= max(sight.extent) <= alone.network.receptive_field


def test_with_context_a_score_hangs_on_pixels_beyond_the_ring(both):
    sight = look(both, SCENES[0].image, place=(120, 120), label=3)
    assert min(sight.extent) > 2 * 60
    assert sight.strength().max() == 1


def training(config: TrainConfig) -> Training:
    values = {"loss": np.array([2.0, 1.0]), "val_mean_iou": np.array([np.nan, 0.4])}
    (stage,) = config.stages.values()
    course = Course("front_end", np.array([1.0, 7.0]), values)
    return Training(config, stage, config.output / "model.safetensors", course)


@pytest.fixture
def story(alone, both, verdicts) -> Story:
    stage = Stage(num_steps=7, learning_rate=0.0625)
    front_end = training(TrainConfig(data=Path(PATH), network="compact", front_end=stage))
    context = training(TrainConfig(data=Path(PATH), network="compact_context", context=stage))
    good = replace(verdicts["both"], core_accuracy=0.98765, num_changed=4321)
    return Story(
        Contestant(front_end, alone, verdicts["alone"]),
        Contestant(front_end, alone, verdicts["alone"]),
        Contestant(context, both, good),
        SCENES,
        seconds=77.4,
    )


@pytest.mark.slow
def test_page_tells_the_numbers_and_loads_nothing(story):
    page = tell(story)
    text = re.sub(r"<[^>]*>|&nbsp;", " ", page)
    scores = story.alone.verdict.scores
    for number in (
        *(f"{100 * iou:.1f}" for iou in scores.per_class_iou.values()),
        f"{100 * scores.mean_iou:.1f}",
        f"{100 * story.both.verdict.scores.mean_iou:.1f}",
        f"{story.alone.verdict.num_core_pixels:,}",
        "98.8",
        "4,321",
        "60.0",
        "0.0625",
        "77 s",
        "32 px",
        "296",
        f"{story.alone.network.num_parameters():,}",
    ):
        assert number in text
    assert not re.search(r"https?:|url\(|@import|<script|<link", page)
    assert set(re.findall(r'(?:src|href)="([^,"]*)', page)) == {
        "data:image/jpeg;base64",
        "data:image/svg+xml;base64",
    }


def test_result_as_table_and_json(tmp_path, verdicts):
    result = DemoResult(tmp_path / "report.html", verdicts["alone"], verdicts["both"], ceiling(6), 1.5)
    lines = result.to_table().splitlines()
    assert [line.split("  ")[0] for line in lines[1:8]] == [*SCENES.label_set.names, "mean"]
    assert lines[7].split()[1] == f"{100 * verdicts['alone'].scores.mean_iou:.1f}"
    assert str(tmp_path / "report.html") in lines[-1]
    found = json.loads(json.dumps(result.to_dict()))
    assert found["with_context"]["mean_iou"] == verdicts["both"].scores.mean_iou


def test_demo_refuses_no_steps():
    with pytest.raises(ConfigError, match="num_steps is 0"):
        DemoConfig(num_steps=0)


def test_demo_refuses_a_file_as_its_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write into"):
        drain(run(DemoConfig(output=tmp_path / "file")))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_context_wins_by_a_wide_margin(tmp_path):
    """The demo's claim on a fifth of its steps; all files are there, and nothing else."""
    result = drain(run(DemoConfig(output=tmp_path, num_steps=40, device="cpu", precision="float32")))
    assert result.front_end.scores.mean_iou <= result.ceiling
    assert result.front_end.core_accuracy == pytest.approx(1 / 3, abs=0.02)
    assert result.front_end.num_changed == 0
    assert result.context.scores.mean_iou > 0.85
    assert result.context.core_accuracy > 0.9
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.html",
        "front_end.safetensors",
        "with_context.safetensors",
        "scenes",
    }
    assert (
        IGNORE
        not in Predictor(tmp_path / "with_context.safetensors")(tmp_path / "scenes/test_000.png").label_map
    )
