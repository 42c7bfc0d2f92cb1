import csv
from dataclasses import asdict

import numpy as np
import pytest
import torch

from atrous.checkpoint import load_checkpoint, save_tensors
from atrous.data.labels import LabelSet
from atrous.errors import CheckpointError, OutputError
from atrous.evaluation.metrics import Counts, Scores
from atrous.figures.curves import read_log
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.run_state import STATE_VERSION, Position, Row, State
from atrous.models.catalog import build_network, to_checkpoint
from atrous.models.contract import Normalization

NAMES = ("ground", "wall", "sky")


def some_scores(seed=0):
    generator = np.random.default_rng(seed)
    counts = Counts(generator.integers(1, 2**40, (3, 3)), generator.integers(1, 9, (3, 4)))
    counts.confusion[2] = 0  # a class that is absent
    return Scores.from_counts(counts, names=NAMES)


def some_state(*, stage="context"):
    torch.manual_seed(0)
    rows = (
        Row(10, "front_end", 1.25, 1e-3, 4.5, 0.01),
        Row(13, "front_end", 1.0, 5e-4, 4.25, 0.0, 0.625),
    )
    return State(
        tensors={
            "network.a": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
            "network.average.b": torch.randn(3),
            "optimizer.0.step": torch.tensor(7.0),
            "average.n_averaged": torch.tensor(3),
        },
        position=Position(stage, 3, rows, {"front_end": some_scores()}),
        normalization=Normalization((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "BGR"),
        label_set=LabelSet(("sky", "ground")),
    )


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs/new")


def save_some_model(folder, *, seed=0):
    torch.manual_seed(seed)
    network = build_network("compact", num_classes=2)
    labels = {"names": ["a", "b"], "palette": [[0, 0, 0], [9, 9, 9]]}
    folder.save_model(to_checkpoint(network, name="compact", labels=labels, progress={"seed": seed}))


def test_state_comes_back_as_it_was(folder):
    state = some_state()
    folder.save_state(state)
    loaded = folder.load_state()
    assert loaded.tensors.keys() == state.tensors.keys()
    for name, value in state.tensors.items():
        assert torch.equal(loaded.tensors[name], value)
        assert loaded.tensors[name].dtype == value.dtype
    assert loaded.normalization == state.normalization
    assert loaded.label_set == state.label_set
    position = loaded.position
    assert (position.stage, position.step, position.rows) == ("context", 3, state.position.rows)
    ours, theirs = position.scores["front_end"], some_scores()
    assert ours.to_dict() == theirs.to_dict()
    assert ours.confusion_matrix.dtype == np.int64
    assert ours.absent_classes == ("sky",)


def test_a_part_of_the_state_goes_by_the_whole_first_word():
    state = some_state()
    assert state.part("network").keys() == {"a", "average.b"}
    assert state.part("average").keys() == {"n_averaged"}
    assert state.part("aver") == {}


def test_best_scores_are_those_of_the_stage_under_way():
    assert some_state(stage="context").position.best is None
    best = some_state(stage="front_end").position.best
    assert best is not None
    assert best.figure == some_scores().mean_iou


@pytest.mark.parametrize("what", ["last", "model"])
def test_an_earlier_run_is_not_overwritten(folder, what):
    folder.refuse_existing()
    if what == "last":
        folder.save_state(some_state())
    else:
        save_some_model(folder)
    with pytest.raises(OutputError, match=r"holds a run already; add --resume to go on"):
        folder.refuse_existing()


def test_nothing_cannot_be_resumed(folder):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*last\.safetensors"):
        folder.load_state()
    with pytest.raises(CheckpointError, match="holds no run to resume; leave out --resume to start"):
        folder.refuse_missing()
    folder.begin("seed = 1\n")  # killed right after that
    folder.refuse_missing()


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_state_cut_short_is_named(folder, size):
    folder.save_state(some_state())
    folder.last.write_bytes(folder.last.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"last\.safetensors is cut short or no safetensors file"):
        folder.load_state()


def test_a_state_of_another_version_is_refused(folder):
    folder.path.mkdir(parents=True)
    save_tensors(folder.last, {"a": torch.zeros(1)}, {"state_version": STATE_VERSION + 1})
    with pytest.raises(CheckpointError, match="another version of atrous"):
        folder.load_state()


def test_log_is_what_the_curves_read(folder):
    rows = some_state().position.rows
    folder.write_log(rows)
    (course,) = read_log(folder.path / "log.csv")
    assert course.stage == "front_end"
    assert course.steps.tolist() == [10, 13]
    assert course.values["loss"].tolist() == [1.25, 1.0]
    assert np.isnan(course.values["val_mean_iou"][0])
    assert course.values["val_mean_iou"][1] == 0.625
    with (folder.path / "log.csv").open(newline="") as file:
        assert list(next(csv.DictReader(file))) == list(asdict(rows[0]))
    folder.draw_curves()
    assert (folder.path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_stage_keeps_its_model_and_drops_its_scores(folder):
    save_some_model(folder, seed=1)
    (folder.scores / "abc").mkdir(parents=True)
    (folder.scores / "abc/000000.safetensors").write_bytes(b"scores")
    folder.finish_stage("context")
    save_some_model(folder, seed=2)  # of the next stage
    assert load_checkpoint(folder.stage_model("context")).progress == {"seed": 1}
    assert load_checkpoint(folder.model).progress == {"seed": 2}
    assert not folder.scores.exists()


def test_nothing_temporary_is_left(folder):
    folder.begin("seed = 1\n")
    folder.keep_provenance({"versions": {}})
    folder.save_state(some_state())
    folder.save_state(some_state())
    save_some_model(folder)
    names = sorted(path.name for path in folder.path.iterdir())
    assert names == ["last.safetensors", "model.safetensors", "provenance.json", "recipe.toml"]
