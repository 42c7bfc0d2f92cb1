"""Checkpoints, states of runs, weights of other programs, and exported networks."""

import io
import json
import struct
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.checkpoint import save_checkpoint
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import Bilateral, Spatial
from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import with_crf
from atrous.data.labels import LabelSet
from atrous.data.quantity import DEPTH
from atrous.models.catalog import build_network, to_checkpoint
from fuzz.formats import Format
from fuzz.mutations import damaged, other_json

LABELS = LabelSet(("a", "b", "c"))


def written(save: Callable[[Path], object], name: str = "a.safetensors") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder, name))
        return Path(folder, name).read_bytes()


@cache
def checkpoints() -> tuple[bytes, ...]:
    torch.manual_seed(0)
    kernels = (Spatial(1.0, 3.0), Bilateral(2.0, 20.0, 10.0))
    classes = to_checkpoint(
        build_network("compact", num_classes=3), name="compact", labels=LABELS.to_dict(), progress={"step": 1}
    )
    depth = to_checkpoint(
        build_network("compact_regressor", num_classes=1),
        name="compact_regressor",
        labels=DEPTH.to_dict(),
        progress={},
    )
    learned = CRFRNN(num_classes=3, kernels=kernels, num_test_steps=2)
    sound = build_network("wavenet_labeler", num_classes=3)
    kinds = (
        classes,
        with_crf(classes, DenseCRF(kernels, 2)),
        with_crf(classes, learned),
        depth,
        to_checkpoint(sound, name="wavenet_labeler", labels=LABELS.to_dict(), progress={}),
    )
    return tuple(written(lambda path, kind=kind: save_checkpoint(path, kind)) for kind in kinds)


@cache
def states() -> tuple[bytes, ...]:
    from atrous.evaluation.metrics import Counts, Scores
    from atrous.jobs.run_folder import RunFolder
    from atrous.jobs.run_state import Position, Row, State

    scores = Scores.from_counts(Counts.zeros(3), names=LABELS.names)
    position = Position("joint", 5, (Row(5, "joint", 0.5, 1e-3, 9.0, 0.1, 0.25),), {"joint": scores})
    network = build_network("compact", num_classes=3)
    learned = CRFRNN(num_classes=3, kernels=(Spatial(1.0, 3.0),))
    tensors = {
        "network.w": torch.ones(3, 4),
        "optimizer.0": torch.ones(3),
        **{f"crf.{name}": value for name, value in learned.state_dict().items()},
    }
    state = State(tensors, position, network.normalization, LABELS, {"kind": "CRFRNN", **learned.to_dict()})
    return (written(lambda path: RunFolder(path.parent).save_state(state), "last.safetensors"),)


def damaged_header(content: bytes, random: np.random.Generator) -> bytes:
    """A safetensors file with other values in our JSON, which is a string in its own."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    ours = other_json(json.loads(header["__metadata__"]["atrous"]), random)
    return with_header(content, json.dumps(ours))


def with_header(content: bytes, ours: str) -> bytes:
    """A safetensors file with another JSON of ours."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["atrous"] = ours
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def damaged_tensors(content: bytes, random: np.random.Generator) -> bytes:
    """A safetensors file with other values in the description of its tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    header = other_json(json.loads(content[8 : 8 + length]), random)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def pths() -> list[bytes]:
    made = []
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        content = io.BytesIO()
        torch.save({"w": torch.ones(4, 3), "b": torch.ones(4, dtype=torch.float16)}, content, **options)
        made.append(content.getvalue())
    return made


def damaged_pickle(content: bytes, random: np.random.Generator) -> bytes:
    """A zip of torch's whose pickle is damaged, with a right checksum."""
    import zipfile

    made = io.BytesIO()
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return damaged(content, random)
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info.filename, damaged(data, random) if info.filename.endswith(".pkl") else data)
    return made.getvalue()


def keras_files() -> list[bytes]:
    import h5py

    made = []
    for version in ("earliest", "latest"):
        content = io.BytesIO()
        with h5py.File(content, "w", libver=version) as file:
            file["model_weights/conv/conv/kernel:0"] = np.ones((3, 3, 2, 4), np.float32)
            file["model_weights/conv/conv/bias:0"] = np.ones(4, np.float32)
            file.attrs["keras_version"] = "2.4.0"
        made.append(content.getvalue())
    return made


def caffemodels() -> list[bytes]:
    from weights.caffe_files import build_net

    layers = {"conv": [np.arange(6, dtype=np.float32).reshape(1, 2, 1, 3), np.ones(1, np.float32)]}
    current = build_net(layers, version="current", dims="shape", packed=True, double=False)
    older = build_net(layers, version="v1", dims="legacy", packed=False, double=False)
    return [current.SerializeToString(), older.SerializeToString()]


def card() -> dict[str, Any]:
    """The description of a network of three classes that takes normalized images."""
    from atrous.export.card import card_of
    from atrous.export.deployed import Ends

    network = build_network("compact", num_classes=3)
    described = card_of(
        network, Ends(), name="compact", arguments={"num_classes": 3}, labels=LABELS.to_dict()
    )
    stored = json.loads(described.to_json())
    stored["geometry"] = {"output_stride": 1, "center": 0.0, "receptive_field": 1}
    return stored


def onnx_model(described: str) -> Any:
    """A convolution of 1 x 1 from three channels to three."""
    import onnx
    from onnx import TensorProto, helper

    sides = ["batch", 3, "height", "width"]
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, sides)
    made = helper.make_tensor_value_info("logits", TensorProto.FLOAT, sides)
    weight = helper.make_tensor("w", TensorProto.FLOAT, [3, 3, 1, 1], np.linspace(-1, 1, 9).tolist())
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", "w"], ["logits"])], "net", [given], [made], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.helper.set_model_props(model, {"atrous": described})
    return model


def onnxs() -> list[bytes]:
    return [onnx_model(json.dumps(card())).SerializeToString()]


def damaged_onnx_card(_: bytes, random: np.random.Generator) -> bytes:
    return onnx_model(json.dumps(other_json(card(), random))).SerializeToString()


@cache
def openvino_files(described: str = "") -> tuple[bytes, bytes]:
    """The .xml and the .bin of the same convolution."""
    import openvino

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.onnx").write_bytes(onnx_model("").SerializeToString())
        model = openvino.Core().read_model(folder / "a.onnx")
        model.set_rt_info(described or json.dumps(card()), ["atrous", "card"])
        openvino.save_model(model, folder / "a.xml", compress_to_fp16=False)
        return (folder / "a.xml").read_bytes(), (folder / "a.bin").read_bytes()


def damaged_openvino_card(_: bytes, random: np.random.Generator) -> bytes:
    return openvino_files(json.dumps(other_json(card(), random)))[0]


def _bin_beside() -> Mapping[str, bytes]:
    return {".bin": openvino_files()[1]}


def _xml_beside() -> Mapping[str, bytes]:
    return {".xml": openvino_files()[0]}


_HERE = "fuzz.network_readers:"
NETWORKS = (
    Format(
        "checkpoint",
        ".safetensors",
        f"{_HERE}checkpoint",
        lambda: list(checkpoints()),
        (damaged_header, damaged_header, damaged_tensors, damaged),
    ),
    Format(
        "run-state",
        ".safetensors",
        f"{_HERE}run_state",
        lambda: list(states()),
        (damaged_header, damaged_header, damaged_tensors, damaged),
    ),
    Format("pth", ".pth", f"{_HERE}state_dict", pths, (damaged, damaged_pickle)),
    Format("keras", ".h5", f"{_HERE}keras", keras_files),
    Format("caffemodel", ".caffemodel", f"{_HERE}caffemodel", caffemodels),
    Format("onnx", ".onnx", f"{_HERE}exported", onnxs, (damaged, damaged_onnx_card)),
    Format(
        "openvino-xml",
        ".xml",
        f"{_HERE}exported",
        lambda: [openvino_files()[0]],
        (damaged, damaged_openvino_card),
        beside=_bin_beside,
    ),
    Format(
        "openvino-bin",
        ".bin",
        f"{_HERE}openvino_weights",
        lambda: [openvino_files()[1]],
        beside=_xml_beside,
    ),
)
