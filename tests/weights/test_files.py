"""Weights of other programs: read as float32, and never executed."""

import io
import os
import pickle
from collections import OrderedDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from atrous.errors import CheckpointError
from atrous.weights.files import read_state_dict

TENSORS = {"a.weight": torch.randn(3, 4), "a.bias": torch.randn(3).half(), "steps": torch.tensor(5)}


def saved(content, *, zipped=True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def assert_read(path):
    read = read_state_dict(path)
    assert read.keys() == TENSORS.keys()
    for name, value in read.items():
        assert value.dtype == torch.float32
        assert value.equal(TENSORS[name].float())


def test_safetensors_are_read_as_float32(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors")
    assert_read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin"])
@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_of_torch_are_read_as_float32(name, zipped, tmp_path):
    (tmp_path / name).write_bytes(saved(OrderedDict(TENSORS), zipped=zipped))
    assert_read(tmp_path / name)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("bait", ["value", "key", "alone"])
def test_a_file_that_would_run_code_is_refused_unrun(bait, zipped, tmp_path):
    trap = Trap(str(tmp_path / "trapped"))
    content = {"value": {**TENSORS, "extra": trap}, "key": {**TENSORS, trap: 1}, "alone": trap}[bait]
    path = tmp_path / "a.pth"
    path.write_bytes(saved(content, zipped=zipped))
    with pytest.raises(CheckpointError) as caught:
        read_state_dict(path)
    assert str(caught.value) == (
        f"{path} is broken or holds more than tensors, which is not read; save `model.state_dict()` anew"
    )
    assert not (tmp_path / "trapped").exists()
    pickle.loads(pickle.dumps(trap))  # the trap works
    assert (tmp_path / "trapped").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_bare_pickle_is_refused_unrun(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(pickle.dumps(Trap(str(tmp_path / "trapped")), protocol=2))
    with pytest.raises(CheckpointError):
        read_state_dict(path)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    "content",
    [[torch.ones(2)], {"model": TENSORS}, {"a": 1.0}, {1: torch.ones(2)}, torch.ones(2)],
    ids=["list", "nested", "number", "number as name", "tensor"],
)
def test_anything_but_names_to_tensors_is_refused(content, tmp_path):
    (tmp_path / "a.pth").write_bytes(saved(content))
    with pytest.raises(
        CheckpointError, match=r"a\.pth holds no state dict \(names to tensors\); save `model"
    ):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_short_anywhere_is_refused(zipped, tmp_path):
    content = saved(TENSORS, zipped=zipped)
    for length in range(0, len(content), 17):
        (tmp_path / "a.pth").write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"a\.pth is broken or holds more than tensors") as caught:
            read_state_dict(tmp_path / "a.pth")
        assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(garbage=st.binary(max_size=100), position=st.integers(0, 400), zipped=st.booleans())
def test_garbage_is_refused(garbage, position, zipped, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "garbage.pth"
    content = saved(TENSORS, zipped=zipped)
    for broken in (garbage, content[:position] + garbage):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError) as caught:
            read_state_dict(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors", "."])
def test_a_missing_file_is_refused(name, tmp_path):
    with pytest.raises(CheckpointError, match=r"no .* at .*; give the path of a \.safetensors"):
        read_state_dict(tmp_path / name)
