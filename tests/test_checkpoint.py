"""Checkpoints: what goes in comes out, and no broken file does more than raise one clear line."""

import pickle
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from atrous.checkpoint import Checkpoint, load_checkpoint, load_tensors, save_checkpoint, save_tensors
from atrous.errors import CheckpointError, OutputError

TENSORS = {
    "weight": torch.arange(12.0).view(3, 4),
    "transposed": torch.arange(12.0).view(3, 4).T,
    "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "half": torch.randn(3).half(),
    "bfloat16": torch.randn(3).bfloat16(),
    "double": torch.randn(3).double(),
    "steps": torch.tensor(7),
    "on": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
    "trained": torch.nn.Parameter(torch.randn(2)),
}
CHECKPOINT = Checkpoint(
    network="compact",
    arguments={"num_classes": 2, "context_module": "none"},
    labels={"names": ["Straße", "空"], "palette": [[1, 2, 3], [4, 5, 6]]},
    normalization={"mean": [1.0, 2.0, 3.0], "std": [1.0, 1.0, 1.0], "channels": "RGB"},
    tensors=TENSORS,
    progress={"stage": "joint", "step": 7, "val_mean_iou": None, "rows": [{"loss": 0.1}]},
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    """The bytes of a checkpoint."""
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    save_checkpoint(path, CHECKPOINT)
    return path.read_bytes()


def one_line(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_checkpoint_comes_back_whole(path):
    save_checkpoint(path, CHECKPOINT)
    loaded = load_checkpoint(path)
    assert replace(loaded, tensors={}) == replace(CHECKPOINT, tensors={})
    assert loaded.tensors.keys() == TENSORS.keys()
    for name, value in loaded.tensors.items():
        assert value.dtype == TENSORS[name].dtype
        assert value.equal(TENSORS[name]), name
        assert not value.requires_grad


def test_a_checkpoint_is_one_file_that_others_may_read(path):
    save_checkpoint(path, CHECKPOINT)
    assert [entry.name for entry in path.parent.iterdir()] == ["model.safetensors"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_saving_replaces_and_loaded_tensors_stay_what_they_were(path):
    save_tensors(path, {"a": torch.ones(1000)}, {"run": 1})
    before, _ = load_tensors(path)
    save_tensors(path, {"a": torch.zeros(3)}, {"run": 2})
    after, header = load_tensors(path)
    assert before["a"].equal(torch.ones(1000))
    assert after["a"].equal(torch.zeros(3))
    assert header == {"run": 2}


def test_a_file_of_another_program_has_an_empty_header(path):
    save_file({"a": torch.ones(2)}, path, metadata={"format": "pt"})
    tensors, header = load_tensors(path)
    assert tensors["a"].equal(torch.ones(2))
    assert header == {}


def test_a_checkpoint_cut_short_anywhere_is_refused(content, path):
    for length in (*range(32), *range(32, len(content), 13)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="is cut short or no safetensors file") as caught:
            load_checkpoint(path)
        one_line(caught)


@given(garbage=st.binary(max_size=200))
def test_garbage_is_refused(garbage, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "garbage.safetensors"
    path.write_bytes(garbage)
    with pytest.raises(CheckpointError, match="is cut short or no safetensors file") as caught:
        load_checkpoint(path)
    one_line(caught)


@given(position=st.integers(0, 1500), byte=st.integers(0, 255))
def test_a_damaged_header_is_read_or_refused(position, byte, content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    damaged = bytearray(content)
    damaged[position] = byte
    path.write_bytes(damaged)
    with suppress(CheckpointError):  # nothing else may be raised
        load_checkpoint(path)


def test_a_pickle_under_the_name_of_a_checkpoint_is_refused(path):
    path.write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load_checkpoint(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_foreign_safetensors_file_is_no_checkpoint(metadata, path):
    save_file({"a": torch.ones(2)}, path, metadata=metadata)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert one_line(caught) == (
        f"{path} holds no atrous checkpoint; give the model.safetensors that `atrous train` writes"
    )


def test_a_newer_checkpoint_is_refused_by_its_version(path):
    save_tensors(path, TENSORS, {"format_version": 3})
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert one_line(caught) == f"{path} has checkpoint format 3, this atrous reads 2; upgrade atrous"


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is cut short or no"), ("[1]", "header that is no table")]
)
def test_a_header_of_another_form_is_refused(text, message, path):
    save_file({"a": torch.ones(2)}, path, metadata={"atrous": text})
    with pytest.raises(CheckpointError, match=message) as caught:
        load_tensors(path)
    one_line(caught)


@pytest.mark.parametrize("name", ["network", "arguments", "labels", "normalization", "progress"])
@pytest.mark.parametrize("value", [None, 3, ["a"]])
def test_a_header_lacking_a_part_is_refused(name, value, path):
    save_checkpoint(path, CHECKPOINT)
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, header | {name: value})
    with pytest.raises(CheckpointError, match=f"has no {name} in its header that atrous could have written"):
        load_checkpoint(path)
    del header[name]
    save_tensors(path, tensors, header)
    with pytest.raises(CheckpointError, match=f"has no {name} in its header"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["absent.safetensors", "."])
def test_a_missing_checkpoint_is_refused(name, tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*; give the path of a \.safetensors file"):
        load_checkpoint(tmp_path / name)


@pytest.fixture
def full_disk():
    """No file may grow beyond 64 KiB, for the system says so as it does on a full disk."""
    resource = pytest.importorskip("resource", reason="limits on file sizes are a matter of Unix")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_old_checkpoint_and_no_rest(path, request):
    save_checkpoint(path, CHECKPOINT)
    before = path.read_bytes()
    request.getfixturevalue("full_disk")
    with pytest.raises(
        OutputError, match=r"cannot write .*model\.safetensors .*; what was there before is"
    ) as caught:
        save_checkpoint(path, replace(CHECKPOINT, tensors={"large": torch.zeros(2**20)}))
    one_line(caught)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    save_checkpoint(path, CHECKPOINT)  # what fits is still written


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*file.model\.safetensors") as caught:
        save_checkpoint(tmp_path / "file" / "model.safetensors", CHECKPOINT)
    one_line(caught)


def test_missing_folders_are_made(tmp_path):
    save_checkpoint(tmp_path / "a" / "b" / "model.safetensors", CHECKPOINT)
    assert load_checkpoint(tmp_path / "a" / "b" / "model.safetensors").network == "compact"
