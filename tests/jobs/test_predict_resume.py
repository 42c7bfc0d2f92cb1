"""A run that goes on: what it skips, what it does anew, what it refuses; and what it says of failures."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import save_checkpoint
from atrous.errors import ConfigError, OutputError, StoppedError
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig, run
from atrous.jobs.progress import drain
from atrous.models.catalog import build_network, to_checkpoint

CPU = InferenceSettings(device="cpu")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(1).integers(0, 256, (6, 17, 24, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def config(tmp_path, tiny_checkpoint, photos):
    return PredictConfig((str(photos),), tiny_checkpoint, output=tmp_path / "out", inference=CPU)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def other_checkpoint(path):
    torch.manual_seed(1)
    network = build_network("compact", num_classes=3)
    labels = {"names": ["a", "b", "c"], "palette": [[0, 0, 0], [9, 9, 9], [200, 9, 9]]}
    save_checkpoint(path, to_checkpoint(network, name="compact", labels=labels, progress={}))
    return path


def test_resume_does_what_is_missing_and_nothing_else(config):
    drain(run(config))
    whole = contents(config.output)
    for name in ("1.png", "2.overlay.jpg", "3.png", "3.overlay.jpg"):
        (config.output / name).unlink()
    kept = (config.output / "0.png").stat().st_mtime_ns
    result = drain(run(replace(config, resume=True)))
    assert [Path(path).name for path in result.skipped] == ["0.png", "4.png", "5.png"]
    assert len(result.written) == 6
    assert contents(config.output) == whole
    assert (config.output / "0.png").stat().st_mtime_ns == kept
    assert "3 images done before" in result.to_table()
    assert json.loads(json.dumps(result.to_dict()))["skipped"] == [str(path) for path in result.skipped]


def test_resume_starts_where_nothing_is(config):
    assert len(drain(run(replace(config, resume=True))).written) == 12


def test_without_resume_existing_results_are_refused_and_both_ways_out_named(config):
    drain(run(config))
    with pytest.raises(OutputError, match=r"and 11 more would be overwritten; .*--resume.*--overwrite"):
        drain(run(config))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inference": replace(CPU, flip=True)}, "was made with flip false, and not true"),
        ({"opacity": 0.7}, "was made with opacity 0.5, and not 0.7"),
    ],
)
def test_resume_refuses_what_other_settings_made(config, change, words):
    drain(run(config))
    before = contents(config.output)
    with pytest.raises(OutputError, match=words):
        drain(run(replace(config, resume=True, **change)))
    assert contents(config.output) == before


def test_resume_refuses_what_another_checkpoint_made_and_with_overwrite_replaces_it(config, tmp_path):
    drain(run(config))
    other = replace(config, checkpoint=other_checkpoint(tmp_path / "other.safetensors"), resume=True)
    with pytest.raises(OutputError, match=r"0\.png was made by another checkpoint; add --overwrite"):
        drain(run(other))
    job = run(replace(other, resume=False, overwrite=True))
    next(job)
    job.close()  # as a kill would
    result = drain(run(replace(other, overwrite=True)))
    assert 0 < len(result.skipped) < 6
    fresh = replace(other, output=tmp_path / "fresh")
    drain(run(fresh))
    assert contents(other.output) == contents(fresh.output)


def test_resume_refuses_a_file_that_says_nothing_of_its_making(config):
    config.output.mkdir()
    (config.output / "2.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="does not say how it was made"):
        drain(run(replace(config, resume=True)))
    assert (config.output / "2.png").read_bytes() == b"mine"


def test_resume_on_another_device_or_for_more_outputs_is_no_other_way_of_making(config):
    drain(run(replace(config, overlay=False)))
    assert len(drain(run(replace(config, resume=True, overlay=False))).skipped) == 6
    assert len(drain(run(replace(config, resume=True))).written) == 12


def test_failures_are_listed_until_they_are_gone(config, photos):
    good = (photos / "3.png").read_bytes()
    for name in ("1.png", "3.png"):
        (photos / name).write_bytes(good[:150])
    job = run(config)
    messages = [said.message for said in job if said.message and not said.message.startswith("computed by")]
    lines = (config.output / "failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == [str(photos / "1.png"), str(photos / "3.png")]
    assert [json.loads(line)["error"] for line in lines] == messages

    (photos / "3.png").write_bytes(good)
    result = drain(run(replace(config, resume=True)))
    assert (result.exit_code, len(result.skipped), len(result.written)) == (1, 4, 2)
    (line,) = (config.output / "failures.jsonl").read_text().splitlines()
    assert json.loads(line)["image"] == str(photos / "1.png")

    (photos / "1.png").write_bytes(good)
    assert drain(run(replace(config, resume=True))).exit_code == 0
    assert not (config.output / "failures.jsonl").exists()


def test_an_output_that_cannot_be_written_is_one_error_and_keeps_the_others(config):
    (config.output / "3.png").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot write .*3\.png") as caught:
        drain(run(replace(config, overwrite=True)))
    assert "\n" not in str(caught.value)
    assert {"0.png", "1.png", "2.png"} <= {path.name for path in config.output.iterdir()}
    assert not list(config.output.glob(".*"))
    (config.output / "3.png").rmdir()
    assert len(drain(run(replace(config, resume=True))).skipped) >= 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_after_what_was_begun_and_resume_goes_on(config, number, code, tmp_path):
    job = run(config)
    next(job)
    signal.raise_signal(number)
    with pytest.raises(StoppedError, match=r"stopped after \d of 6 images; add --resume") as caught:
        drain(job)
    assert caught.value.exit_code == code
    assert not list(config.output.glob(".*"))
    result = drain(run(replace(config, resume=True)))
    assert len(result.skipped) + len(result.written) // 2 == 6
    assert result.skipped
    whole = replace(config, output=tmp_path / "whole")
    drain(run(whole))
    assert contents(config.output) == contents(whole.output)


@pytest.mark.parametrize("workers", [-1, 2])
def test_workers_without_anything_to_distribute_to_are_refused(config, workers):
    with pytest.raises(ConfigError, match="--distribute ray"):
        replace(config, workers=workers)
