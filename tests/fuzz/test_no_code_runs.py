"""What a file names or holds is never run: pickles, programs, modules, addresses, entities of XML."""

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import save_checkpoint
from atrous.config import load_toml
from atrous.data.images import read_image
from atrous.data.label_file import read_label_file
from atrous.data.labels import LabelSet
from atrous.data.measured_file import read_values
from atrous.data.quantity import DEPTH
from atrous.data.score_file import read_logits
from atrous.errors import AtrousError, CheckpointError, ConfigError, DataError
from atrous.inference.rasters import open_raster
from atrous.inference.stored import load_stored
from atrous.jobs.train import TrainConfig
from atrous.models.catalog import build_network, to_checkpoint
from atrous.models.dilated_classifier import NAME
from atrous.models.foreign import foreign_network
from atrous.weights.files import read_state_dict
from fuzz import bombs
from fuzz.network_formats import card, onnx_model, openvino_files


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def trap(tmp_path):
    """A trap that is known to work, and has not been stepped into."""
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    (tmp_path / "sprung").rmdir()
    yield Trap(tmp_path / "sprung")
    assert not (tmp_path / "sprung").exists()


def object_array(trap) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([trap, None], dtype=object), allow_pickle=True)
    return content.getvalue()


def test_a_pickle_in_npy_is_not_unpickled(trap, tmp_path):
    (tmp_path / "a.npy").write_bytes(object_array(trap))
    with pytest.raises(DataError, match="Python objects, which are never unpickled"):
        read_values(tmp_path / "a.npy", DEPTH, scale=None)


def test_a_pickle_in_npz_is_not_unpickled(trap, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("logits.npy", object_array(trap))
    with pytest.raises(DataError, match="cannot be read as an npz"):
        read_logits(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_a_bare_pickle_is_not_unpickled(trap, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(pickle.dumps(trap))
    with pytest.raises(DataError):
        read_logits(path) if suffix == ".npz" else read_values(path, DEPTH, scale=None)


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_in_weights_is_not_unpickled(trap, tmp_path, suffix, zipped):
    path = tmp_path / f"a{suffix}"
    torch.save({"w": torch.ones(2), "x": trap}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        read_state_dict(path)


def test_a_pickle_is_no_checkpoint(trap, tmp_path):
    torch.save({"w": trap}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load_stored(tmp_path / "a.safetensors")


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A module in the working directory that leaves a mark when it is imported."""
    (tmp_path / "marking.py").write_text(
        "from pathlib import Path\nPath(__file__).with_suffix('.mark').touch()\ndef build(*_, **__): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield "marking:build"
    assert not (tmp_path / "marking.mark").exists()


@pytest.mark.parametrize("place", ["network", "arguments__backbone", "arguments__context_module"])
def test_a_checkpoint_names_no_module_to_import(own_module, tmp_path, place):
    path = tmp_path / "a.safetensors"
    path.write_bytes(bombs.checkpoint(**{place: own_module}))
    with pytest.raises(CheckpointError, match="cannot build"):
        load_stored(path)


@pytest.mark.parametrize("source", ["marking:build", "", "torchvision", "hub:marking", 3])
def test_a_dilated_checkpoint_names_no_module_to_import(own_module, tmp_path, source):
    path = tmp_path / "a.safetensors"
    arguments = {"source": own_module if source == "marking:build" else source, "input_size": [9, 9]}
    path.write_bytes(bombs.checkpoint(network=NAME, arguments=arguments | {"output_stride": 8}))
    with pytest.raises(CheckpointError, match="a file must not name code to run"):
        load_stored(path)


@pytest.mark.parametrize("sides", [[10**6, 10**6], [0, 5], ["9", "9"], [9], 9, [True, True]])
def test_a_dilated_checkpoint_asks_for_no_odd_input(tmp_path, sides):
    path = tmp_path / "a.safetensors"
    arguments = {"source": "torchvision:resnet18", "input_size": sides, "output_stride": 8}
    path.write_bytes(bombs.checkpoint(network=NAME, arguments=arguments))
    with pytest.raises(CheckpointError, match="does not say how its network was made"):
        load_stored(path)


@pytest.mark.parametrize("key", ["hf-hub:a/b", "resnet18.://a", "local-dir:.", "a b", ""])
@pytest.mark.parametrize("source", ["timm", "torchvision"])
def test_names_that_timm_takes_for_addresses_are_refused(source, key):
    with pytest.raises(ConfigError, match="names no network in"):
        foreign_network(f"{source}:{key}")


def test_an_exported_file_names_no_module_to_import(own_module, tmp_path):
    described = {**card(), "network": own_module, "arguments": {"backbone": own_module}}
    (tmp_path / "a.onnx").write_bytes(onnx_model(json.dumps(described)).SerializeToString())
    network = load_stored(tmp_path / "a.onnx").network
    with pytest.raises(AtrousError, match="whose geometry is not known"):
        network.twin()  # type: ignore[union-attr, operator]


def test_a_recipe_s_words_are_words(own_module, tmp_path):
    text = f'network = "{own_module}"\nbackbone = "__import__(\\"marking\\")"\n'
    text += 'output = "$(touch marking.mark)"\n'
    (tmp_path / "a.toml").write_text(text)
    config = load_toml(tmp_path / "a.toml", TrainConfig)
    assert config.network == own_module
    assert str(config.output) == "$(touch marking.mark)"
    with pytest.raises(ConfigError, match="no network"):
        build_network(config.network)


def test_class_names_are_words(own_module, tmp_path):
    name = f"{{{own_module}}}"
    (tmp_path / "labels.toml").write_text(f'names = ["{name}", "%s", "{{0}}"]\n')
    assert read_label_file(tmp_path).names == (name, "%s", "{0}")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif"])
def test_postscript_is_not_run(tmp_path, monkeypatch, suffix):
    mark, program = tmp_path / "mark", tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    Image.new("RGB", (5, 5)).save(tmp_path / "a.eps")
    path = (tmp_path / "a.eps").rename(tmp_path / f"a{suffix}")
    with Image.open(path) as image:  # Pillow alone would
        assert image.format == "EPS"
        with pytest.raises(OSError):  # noqa: PT011 (the program draws nothing)
            image.load()
    assert mark.exists()
    mark.unlink()
    with pytest.raises(DataError, match="cannot be read as an image"):
        read_image(path)
    assert not mark.exists()


VRT = """<VRTDataset rasterXSize="3" rasterYSize="3"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="0">/vsicurl/http://127.0.0.1:9/a.tif</SourceFilename></SimpleSource>
</VRTRasterBand></VRTDataset>"""
WMS = '<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/${z}</ServerUrl></Service></GDAL_WMS>'


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize("text", [VRT, WMS])
def test_no_address_in_an_image_is_asked(tmp_path, suffix, text):
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    with pytest.raises(DataError, match="does not begin as a TIFF"), open_raster(path):
        pass


def test_an_onnx_file_reads_no_other_file(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(struct.pack("<9f", *range(9)))
    folder = tmp_path / "given"
    folder.mkdir()
    model = onnx_model(json.dumps(card()))
    weight = model.graph.initializer[0]
    weight.ClearField("float_data")
    weight.data_location = 1  # EXTERNAL
    for key, value in (("location", "../secret"), ("offset", "0"), ("length", "36")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="cannot be read as ONNX"):
        load_stored(folder / "a.onnx")


def test_an_openvino_file_reads_no_entity(tmp_path):
    (tmp_path / "secret").write_text("of the house")
    xml, weights = openvino_files()
    doctype = f'<!DOCTYPE net [<!ENTITY file SYSTEM "file://{tmp_path}/secret">]>'.encode()
    head, _, rest = xml.partition(b"?>")
    changed = head + b"?>" + doctype + rest.replace(b'<net name="', b'<net name="&file;', 1)
    assert changed != xml
    (tmp_path / "a.xml").write_bytes(changed)
    (tmp_path / "a.bin").write_bytes(weights)
    said = []
    try:
        said.append(str(vars(load_stored(tmp_path / "a.xml").network)))
    except CheckpointError as error:
        said.append(str(error))
    assert "of the house" not in said[0]


def test_a_whole_checkpoint_is_still_read(tmp_path):
    network = build_network("compact", num_classes=3)
    labels = LabelSet(("a", "b", "c")).to_dict()
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, to_checkpoint(network, name="compact", labels=labels, progress={}))
    assert load_stored(path).network.num_classes == 3
