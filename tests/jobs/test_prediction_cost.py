import json
import os
from pathlib import Path

import pytest
import torch

from atrous.errors import ConfigError, OutputError
from atrous.jobs.prediction_cost import _busy_seconds, main, measure, measure_apart, read_cost


@pytest.mark.slow
def test_speed_is_that_of_one_image_by_the_usual_predictor(tiny_data, tiny_checkpoint):
    cost = measure(tiny_checkpoint, tiny_data, "val", device="cpu")
    assert cost.images_per_second > 1
    assert cost.image_size == (48, 64)
    assert cost.engine.startswith("torch on cpu, float32")
    assert cost.threads == torch.get_num_threads()


@pytest.mark.parametrize("text", ["", "[]", "3", '{"threads": 1}', "[" * 100_000, "\x00"])
def test_a_file_without_figures_is_named(tmp_path, text):
    (tmp_path / "prediction.json").write_text(text)
    with pytest.raises(OutputError, match=r"prediction\.json holds no figures .* measured again"):
        read_cost(tmp_path / "prediction.json")


def test_the_process_says_why_it_failed(tiny_data, tmp_path, capsys):
    missing = tmp_path / "none.safetensors"
    assert main([str(missing), str(tiny_data), "val", "cpu"]) == 1
    assert str(missing) in capsys.readouterr().err


def test_the_process_prints_json(tiny_data, tiny_checkpoint, capsys):
    assert main([str(tiny_checkpoint), str(tiny_data), "val", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["image_size"] == [48, 64]


@pytest.mark.slow
def test_a_process_of_its_own_measures_the_same_and_its_memory(tiny_data, tiny_checkpoint):
    cost = measure_apart(tiny_checkpoint, tiny_data, "val", device="cpu")
    assert cost.image_size == (48, 64)
    if Path("/proc/self/status").exists():
        assert 4 * 73_000 < cost.peak_memory < 1e9  # more than its weights


@pytest.mark.slow
def test_a_failed_measurement_is_an_error_with_its_reason(tiny_data, tmp_path):
    with pytest.raises(ConfigError, match=r"could not be timed \(.*none\.safetensors.*\); see"):
        measure_apart(tmp_path / "none.safetensors", tiny_data, "val", device="cpu")


def test_busy_seconds_grow_and_count_this_process():
    if not Path("/proc/stat").exists():
        pytest.skip("needs /proc/stat, which only Linux has")
    before, cpu = _busy_seconds(), os.times().user
    while os.times().user - cpu < 0.1:
        sum(range(10_000))
    after = _busy_seconds()
    assert before is not None
    assert after is not None
    assert after - before > 0.05  # ticks of 10 ms
