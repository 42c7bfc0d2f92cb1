"""Starting weights and data meet by the names of their classes, never by their positions."""

from dataclasses import replace

import pytest
import torch

from atrous.checkpoint import load_checkpoint, save_checkpoint
from atrous.data.labels import LabelSet
from atrous.errors import DataError
from atrous.jobs.progress import drain
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.train import TrainConfig, run, train
from atrous.models.catalog import build_network, to_checkpoint
from atrous.training.settings import Stage

STILL = Stage(num_steps=2, batch_size=1, crop_size=(32, 32), learning_rate=1e-30, weight_decay=0.0)
FINAL = "front_end.layers.final.weight"


def start_from(names, tmp_path):
    """A checkpoint with these classes."""
    torch.manual_seed(7)
    network = build_network("compact_context", num_classes=len(names), noise=0.1)
    path = tmp_path / "init.safetensors"
    labels = LabelSet(names).to_dict()
    save_checkpoint(path, to_checkpoint(network, name="compact_context", labels=labels, progress={}))
    return path


@pytest.fixture
def config(tiny_data, tmp_path):
    """Steps that move nothing, on data of the classes ground, wall and sky."""
    return TrainConfig(
        data=tiny_data, output=tmp_path / "run", network="compact_context", device="cpu", joint=STILL
    )


def start_message(config):
    """What a run says of its starting weights; the run goes on to its end."""
    (said,) = [progress.message for progress in run(config) if progress.part == "start"]
    return said


@pytest.mark.slow
def test_the_same_classes_in_another_order_keep_the_order_of_the_weights(config, tmp_path):
    init = start_from(("sky", "Ground", "wall"), tmp_path)
    config = replace(config, init=init)
    trained = load_checkpoint(train(config).checkpoint)
    given = load_checkpoint(init)
    assert trained.labels["names"] == ["sky", "ground", "wall"]  # in the data's own words
    for name, value in given.tensors.items():
        torch.testing.assert_close(trained.tensors[name], value)


@pytest.mark.slow
def test_labels_are_renumbered_for_the_weights(config, tmp_path):
    """Learning on renumbered labels ends where learning on masks stored in that order ends."""
    learning = replace(config, init=start_from(("sky", "ground", "wall"), tmp_path))
    learning = replace(learning, joint=replace(STILL, learning_rate=0.01))
    ours = load_checkpoint(train(learning).checkpoint)
    assert config.data is not None
    stored = (config.data / "labels.toml").read_text().splitlines()
    palette = next(line for line in stored if line.startswith("palette"))
    (config.data / "labels.toml").write_text(
        f'names = ["sky", "ground", "wall"]\nvalues = [2, 0, 1]\n{palette}'
    )
    theirs = load_checkpoint(train(replace(learning, output=tmp_path / "stored")).checkpoint)
    for name, value in theirs.tensors.items():
        assert value.equal(ours.tensors[name]), name


@pytest.mark.slow
def test_a_resumed_run_keeps_the_order(config, tmp_path):
    config = replace(config, init=start_from(("wall", "sky", "ground"), tmp_path), save_every=1)
    for progress in (job := run(config)):
        if (progress.part, progress.done) == ("joint", 1):
            job.close()
            break
    config.init.unlink()  # type: ignore[union-attr]
    resumed = drain(run(replace(config, resume=True)))
    assert load_checkpoint(resumed.checkpoint).labels["names"] == ["wall", "sky", "ground"]
    assert RunFolder(config.output).load_state().label_set.names == ("wall", "sky", "ground")


def test_a_run_is_not_resumed_on_data_of_other_classes(config):
    config = replace(config, save_every=1)
    for progress in (job := run(config)):
        if (progress.part, progress.done) == ("joint", 1):
            job.close()
            break
    assert config.data is not None
    text = (config.data / "labels.toml").read_text()
    (config.data / "labels.toml").write_text(text.replace("wall", "door"))
    with pytest.raises(DataError, match="only in the data: door; only wanted: wall"):
        drain(run(replace(config, resume=True)))


@pytest.mark.slow
@pytest.mark.parametrize("names", [("sky", "ground", "door"), ("a", "b", "c", "d")])
def test_layers_that_know_other_classes_start_fresh(config, tmp_path, names):
    init = start_from(names, tmp_path)
    config = replace(config, init=init)
    said = start_message(config)
    assert "brings 12 tensors; these layers start fresh: front_end.layers.final, context.layers.0" in said
    trained, given = load_checkpoint(RunFolder(config.output).model), load_checkpoint(init)
    assert trained.labels["names"] == ["ground", "wall", "sky"]
    first = "front_end.layers.conv1_1.weight"
    torch.testing.assert_close(trained.tensors[first], given.tensors[first])
    assert trained.tensors[FINAL].shape != given.tensors[FINAL].shape or not torch.allclose(
        trained.tensors[FINAL], given.tensors[FINAL]
    )


@pytest.mark.slow
def test_weights_of_the_same_classes_leave_nothing_fresh(config, tmp_path):
    init = start_from(("ground", "wall", "sky"), tmp_path)
    assert start_message(replace(config, init=init)).endswith("nothing starts fresh")
