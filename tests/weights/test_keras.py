"""Keras' HDF5 files in the layouts of three major versions, and files that nobody should have to trust."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import CheckpointError, ConfigError
from atrous.weights.keras import read_keras

# Two layers of a network, as keras.applications' VGG16 names them; a third has no weights.
LAYERS = {
    "block1_conv1": (
        np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype("f4"),
        np.arange(4, dtype="f4"),
    ),
    "fc1": (np.random.default_rng(1).normal(size=(8, 5)).astype("f4"), np.arange(5, dtype="f4")),
}


def write_keras_1(root: h5py.Group) -> None:
    """`save_weights` of Keras 1, and the files that keras.applications downloads."""
    root.attrs["layer_names"] = np.array([*LAYERS, "flatten"], "S")
    root.create_group("flatten").attrs["weight_names"] = np.array([])
    for name, (kernel, bias) in LAYERS.items():
        group = root.create_group(name)
        group.attrs["weight_names"] = np.array([f"{name}_W_1:0", f"{name}_b_1:0"], "S")
        group[f"{name}_W_1:0"], group[f"{name}_b_1:0"] = kernel, bias


def write_keras_2(root: h5py.Group) -> None:
    """`save_weights` of Keras 2 to .h5: groups in groups, the inner one at times of another name."""
    for name, (kernel, bias) in LAYERS.items():
        inner = f"{name}_1" if name == "fc1" else name
        root[f"{name}/{inner}/kernel:0"], root[f"{name}/{inner}/bias:0"] = kernel, bias
    root.create_group("flatten")


def write_whole_model(root: h5py.Group) -> None:
    """`save` of Keras 2 to .h5, optimizer included."""
    write_keras_2(root.create_group("model_weights"))
    for name, (kernel, bias) in LAYERS.items():
        root[f"optimizer_weights/Adam/m/{name}/kernel:0"] = kernel + 1
        root[f"optimizer_weights/Adam/m/{name}/bias:0"] = bias + 1
    root["optimizer_weights/Adam/iter:0"] = 7


def write_nested(root: h5py.Group) -> None:
    """The same inside a larger network of Keras 2: all layers in one group."""
    for name, (kernel, bias) in LAYERS.items():
        root[f"vgg16/{name}/kernel:0"], root[f"vgg16/{name}/bias:0"] = kernel, bias


@pytest.mark.parametrize("write", [write_keras_1, write_keras_2, write_whole_model, write_nested])
def test_layers_are_found_by_name(write, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file)
    assert_layers(read_keras(tmp_path / "a.h5"), LAYERS)


def assert_layers(read, expected):
    assert read.keys() == expected.keys()
    for name, arrays in expected.items():
        assert len(read[name]) == len(arrays)
        for tensor, array in zip(read[name], arrays, strict=True):
            assert tensor.dtype == torch.float32
            assert np.array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("place", ["layers", "_layer_checkpoint_dependencies", "layers/functional/layers"])
def test_layers_of_keras_3_are_counted(place, tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_group("vars").attrs["name"] = "vgg16"
        file.create_group(f"{place}/flatten/vars").attrs["name"] = "flatten"
        for counted, arrays in zip(("conv2d", "conv2d_1"), LAYERS.values(), strict=True):
            for number, array in enumerate(arrays):
                file[f"{place}/{counted}/vars/{number}"] = array
        file["optimizer/vars/0"] = 7
    expected = dict(zip(("conv2d", "conv2d_1"), LAYERS.values(), strict=True))
    assert_layers(read_keras(tmp_path / "a.weights.h5"), expected)


def test_layers_of_any_number_of_tensors_and_types_are_read(tmp_path):
    layers = {
        "norm": tuple(np.full(3, value, "f4") for value in range(4)),
        "bare": (np.ones((2, 2), "f2"),),
        "counter": (np.array(3, "i8"),),
        "swapped": (np.arange(6.0).reshape(2, 3).astype(">f8"), np.zeros(0, "f4")),
    }
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, arrays in layers.items():
            for number, array in enumerate(arrays):
                file[f"{name}/{number}"] = array
    assert_layers(read_keras(tmp_path / "a.h5"), layers)


def write_link(file, link):
    file["fc1/kernel:0"] = np.ones((2, 2), "f4")
    file["fc1/bias:0"] = link


def write_dtype(file, values):
    file["fc1/kernel:0"] = values


def write_stored(file, **layout):
    file.create_dataset("fc1/kernel:0", **layout)


def write_cycle(file):
    file["fc1/kernel:0"] = np.ones((2, 2), "f4")
    file["fc1/again"] = file["fc1"]


def write_deep(file):
    file["/".join(["fc1"] * 40) + "/kernel:0"] = np.ones((2, 2), "f4")


def write_twice(file):
    for place in ("a/fc1", "a/fc2", "b/fc1", "b/fc2"):
        file[f"{place}/kernel:0"] = np.ones((2, 2), "f4")


def write_null(file):
    file["fc1/kernel:0"] = h5py.Empty("f4")


REFUSED = {
    "external link": (lambda file: write_link(file, h5py.ExternalLink("other.h5", "/a")), "has a link for"),
    "soft link": (lambda file: write_link(file, h5py.SoftLink("/fc1/kernel:0")), "has a link for"),
    "strings": (lambda file: write_dtype(file, np.array(["a"], object)), "no numbers in fc1/kernel:0"),
    "records": (lambda file: write_dtype(file, np.zeros(2, "f4,i4")), "no numbers in fc1/kernel:0"),
    "raw bytes": (lambda file: write_dtype(file, np.zeros(2, "V2")), "no numbers in fc1/kernel:0"),
    "nothing": (write_null, "no numbers in fc1/kernel:0"),
    "cycle": (write_cycle, 'holds "again" under two names'),
    "deep": (write_deep, "more groups than any network"),
    "two layers": (write_twice, 'two layers "fc1"'),
    "no layer": (lambda file: file.create_dataset("kernel:0", data=1.0), "kernel:0 outside of any layer"),
    "chunks": (
        lambda file: write_stored(file, data=np.zeros((4, 4), "f4"), chunks=(2, 2)),
        "in chunks or elsewhere, unlike Keras; repack",
    ),
    "compressed terabytes": (
        lambda file: write_stored(file, shape=(2**20, 2**20), dtype="f4", compression="gzip"),
        "in chunks or elsewhere",
    ),
    "terabytes without values": (
        lambda file: write_stored(file, shape=(2**20, 2**20), dtype="f4"),
        "claims 4398046511104 bytes of weights but has",
    ),
    "values elsewhere": (
        lambda file: write_stored(file, shape=(4,), dtype="u1", external=[(__file__, 0, 4)]),
        "in chunks or elsewhere",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_keras_does_not_write_is_refused(kind, tmp_path):
    write, reason = REFUSED[kind]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file)
    with pytest.raises(CheckpointError) as caught:
        read_keras(tmp_path / "a.h5")
    assert str(caught.value).startswith(str(tmp_path / "a.h5"))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dataset_made_of_other_files_is_refused(tmp_path):
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "a", shape=(4,))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("fc1", layout)
    with pytest.raises(CheckpointError, match="keeps fc1 in chunks or elsewhere"):
        read_keras(tmp_path / "a.h5")


def test_many_small_claims_are_refused_together(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(20):
            file.create_dataset(f"fc{number}/kernel:0", (1000,), "f4")  # no values are written
    size = (tmp_path / "a.h5").stat().st_size
    assert 4000 < size < 20 * 4000
    with pytest.raises(CheckpointError, match=f"claims 80000 bytes of weights but has {size}; get it anew"):
        read_keras(tmp_path / "a.h5")


def test_more_groups_than_a_network_has_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("atrous.weights.keras._MOST", 10)
    for count, is_refused in ((4, False), (5, True)):  # the file itself, and two for each layer
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for number in range(count):
                file[f"fc{number}/bias:0"] = np.zeros(2, "f4")
        if is_refused:
            with pytest.raises(CheckpointError, match="holds more groups than any network"):
                read_keras(tmp_path / "a.h5")
        else:
            assert len(read_keras(tmp_path / "a.h5")) == count


def keras_bytes(folder: Path) -> bytes:
    with h5py.File(folder / "whole.h5", "w") as file:
        write_keras_1(file)
    return (folder / "whole.h5").read_bytes()


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    content = keras_bytes(tmp_path)
    for length in range(0, len(content), 41):
        (tmp_path / "a.h5").write_bytes(content[:length])
        with pytest.raises(
            CheckpointError, match=r"a\.h5 is cut short or no HDF5 file .* a Keras \.h5"
        ) as caught:
            read_keras(tmp_path / "a.h5")
        assert "\n" not in str(caught.value)


@given(garbage=st.binary(min_size=1, max_size=40), position=st.integers(0, 6000))
def test_damage_is_refused_or_harmless(garbage, position, tmp_path_factory):
    content = keras_bytes(tmp_path_factory.getbasetemp())
    damaged = content[:position] + garbage + content[position + len(garbage) :]
    path = tmp_path_factory.getbasetemp() / "damaged.h5"
    path.write_bytes(damaged)
    layers, reason = {}, ""
    try:
        layers = read_keras(path)
    except CheckpointError as error:
        reason = str(error)
    assert "\n" not in reason
    assert sum(tensor.numel() for tensors in layers.values() for tensor in tensors) <= len(damaged)


@pytest.mark.parametrize("name", ["absent.h5", "."])
def test_a_missing_file_is_refused(name, tmp_path):
    with pytest.raises(CheckpointError, match=r"no weights at .*; give the path of a Keras \.h5 file"):
        read_keras(tmp_path / name)


def test_without_h5py_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"is read by h5py; pip install 'atrous\[datasets\]'"):
        read_keras(tmp_path / "a.h5")
