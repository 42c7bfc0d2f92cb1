import json
import shutil

import pytest

from atrous.cli import main
from atrous.errors import ConfigError, DataError
from atrous.jobs.check import CheckConfig, run
from atrous.jobs.progress import Progress, drain
from atrous.jobs.train import TrainConfig
from atrous.jobs.train import run as train
from atrous.training.settings import Stage


def test_check_tells_its_progress_and_returns_the_report(tiny_data):
    job = run(CheckConfig(tiny_data))
    told = []
    while True:
        try:
            told.append(next(job))
        except StopIteration as stop:
            report = stop.value
            break
    assert [step.done for step in told] == [1, 2, 3, 4, 1, 2]
    assert told[0] == Progress(1, 4, "check train")
    assert report.problems == ()
    assert [split.name for split in report.splits] == ["train", "val"]


def test_check_takes_its_options_from_the_config(tiny_data):
    (tiny_data / "val/masks/val0.png").unlink()
    report = drain(run(CheckConfig(tiny_data, crop_size=(8, 8), quick=True, splits=("train",))))
    assert report.quick
    assert [split.name for split in report.splits] == ["train"]
    assert report.splits[0].ignored_crop_share == 0


@pytest.mark.parametrize("crop_size", [(0, 8), (8, -1)])
def test_check_refuses_crops_without_a_pixel(tiny_data, crop_size):
    with pytest.raises(ConfigError, match="must be at least 1 x 1 pixel"):
        CheckConfig(tiny_data, crop_size=crop_size)


def test_the_command_exits_0_on_clean_data(capsys, tiny_data):
    assert main(["check", str(tiny_data), "--crop-size", "16", "16"]) == 0
    assert "no mistakes found" in capsys.readouterr().out


def test_the_command_exits_1_on_mistakes_and_lists_all_files_as_json(capsys, tiny_data):
    for path in (tiny_data / "train/masks").iterdir():
        path.write_bytes(b"")
    assert main(["check", str(tiny_data), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["kind"] == "unreadable mask"
    assert problem["files"] == [f"train/masks/train{number}.png" for number in range(4)]


def test_the_command_tells_a_missing_folder_in_one_line(capsys, tmp_path):
    assert main(["check", str(tmp_path / "nowhere")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_train_refuses_mistakes_with_the_sentences_of_check(tmp_path, tiny_data):
    (tiny_data / "train/masks/train2.png").unlink()
    (error,) = drain(run(CheckConfig(tiny_data))).errors
    config = TrainConfig(tiny_data, output=tmp_path / "run")
    for _ in range(2):  # the first refusal leaves nothing in the way of the next try
        with pytest.raises(DataError, match="Run `atrous check") as caught:
            drain(train(config))
        assert error.sentence in str(caught.value)
    assert not config.output.exists()


def test_train_refuses_a_validation_split_that_it_was_told_of(tmp_path, tiny_data):
    with pytest.raises(DataError, match='has no split "vla"; did you mean "val"'):
        drain(train(TrainConfig(tiny_data, output=tmp_path / "run", val_split="vla")))


def test_train_goes_without_validation_where_there_is_no_val(tmp_path, tiny_data):
    shutil.rmtree(tiny_data / "val")
    stage = Stage(num_steps=1, batch_size=1, crop_size=(16, 16))
    config = TrainConfig(
        tiny_data,
        output=tmp_path / "run",
        network="compact",
        device="cpu",
        precision="float32",
        front_end=stage,
    )
    told = []
    job = train(config)
    while True:
        try:
            told.append(next(job).message)
        except StopIteration as stop:
            result = stop.value
            break
    assert told[0].endswith('has no split "val": training goes without validation')
    assert result.checkpoint.exists()
    assert result.scores == {}
    assert 'val_split = ""\n' in (tmp_path / "run/recipe.toml").read_text()
