"""ONNX files: written by PyTorch's exporter, read by ONNX Runtime."""

import copy
import importlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atrous.errors import CheckpointError, ConfigError, GeometryError
from atrous.export.card import KEY, Card, not_computed
from atrous.export.program import AXES
from atrous.geometry.program import export_program
from atrous.layers.bins import BinMeans

OPSET = 20
LARGEST = 2**31 - 1  # bytes of one protobuf message
_INSTALL = 'pip install "atrous[onnx]"'


def write_onnx(network: nn.Module, example: Tensor, card: Card, path: Path, *, opset: int = OPSET) -> None:
    """Write a network as one ONNX file, batch and spatial axes dynamic, the card in its metadata.

    Args:
        network: What is exported, in evaluation mode.
        example: A batch of two that it takes.
        card: What the file tells of itself.
        path: Ends in .onnx.
        opset: Version of ONNX's operators.

    Raises:
        ConfigError: If onnx or onnxscript is not installed, or there is no such opset.
        GeometryError: If the network, or an operator of it, cannot be exported.
    """
    onnx = _load("onnx")
    _load("onnxscript")
    if not 18 <= opset <= onnx.defs.onnx_opset_version():
        newest = onnx.defs.onnx_opset_version()
        raise ConfigError(f"opset {opset} is not written here; take one of 18 to {newest}")
    program = export_program(with_bins(network), example, any_size=True)
    with _quietly():
        try:
            made = torch.onnx.export(
                program,
                (example,),
                dynamo=True,
                opset_version=opset,
                input_names=["images"],
                output_names=[card.ends.result],
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = " ".join(str(error.__cause__ or error).split())[:300]
            raise GeometryError(f"ONNX has no form for an operator of this network: {reason}") from error
    assert made is not None
    proto = made.model_proto
    if proto.ByteSize() > LARGEST:
        raise GeometryError("the network has more than 2 GiB of weights, too many for one ONNX file")
    _name_axes(proto, AXES[card.num_axes])
    onnx.helper.set_model_props(proto, {KEY: card.to_json(), **card.plain()})
    proto.producer_name = "atrous"
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def with_bins(network: nn.Module) -> nn.Module:
    """The network with its means over bins as products: ONNX pools adaptively to one cell or by constants."""
    found = {path: bins for path, part in network.named_modules() if (bins := _bins(part))}
    if not found:
        return network
    changed = copy.deepcopy(network)
    for path, bins in found.items():
        changed.set_submodule(path, BinMeans(bins))
    return changed


def _bins(part: nn.Module) -> tuple[int, int] | None:
    """How many along each axis, of adaptive means over more than one."""
    if not isinstance(part, nn.AdaptiveAvgPool2d) or part.output_size in (1, (1, 1)):
        return None
    size = part.output_size if isinstance(part.output_size, tuple) else (part.output_size,) * 2
    rows, columns = size
    return None if rows is None or columns is None else (rows, columns)


def _name_axes(proto: Any, names: tuple[str, ...]) -> None:
    """Call the symbols that the exporter numbered by what they are."""
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    symbols = {dims[0].dim_param: "batch"}
    symbols |= {dim.dim_param: name for dim, name in zip(list(dims)[2:], names, strict=True)}
    known = re.compile("|".join(rf"\b{re.escape(symbol)}\b" for symbol in symbols if symbol))
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = known.sub(lambda found: symbols[found[0]], dim.dim_param)


class OnnxSession:
    """An ONNX file in ONNX Runtime, on as many threads as torch has.

    Args:
        path: The file.

    Attributes:
        card: What it tells of itself.
        description: What computes, in one line.

    Raises:
        ConfigError: If ONNX Runtime is not installed.
        CheckpointError: If the file is missing, broken, or not written by `atrous export`.
    """

    def __init__(self, path: Path) -> None:
        runtime = _load("onnxruntime")
        if not path.is_file():
            raise CheckpointError(f"no file at {path}; give what atrous export wrote")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in runtime.get_available_providers()]
        try:
            self._session = runtime.InferenceSession(path, options, providers=providers)
            text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        except Exception as error:  # the runtime has an exception of its own for every state of a file
            reason = " ".join(str(error).split()).rsplit(":", 1)[-1].strip()[:200]
            raise CheckpointError(f"{path} cannot be read as ONNX ({reason}); export it anew") from error
        self._path = path
        if text is None:
            raise CheckpointError(
                f"{path} does not say what its outputs mean; give a file that atrous export wrote"
            )
        self.card = Card.from_json(text, source=str(path))
        self.description = f"ONNX Runtime {runtime.__version__}, {self.card.precision}"

    def __call__(self, images: Tensor) -> Tensor:
        """What the graph gives of its input.

        Raises:
            CheckpointError: If it cannot be computed.
        """
        try:
            name = self._session.get_inputs()[0].name
            return torch.from_numpy(self._session.run(None, {name: images.cpu().contiguous().numpy()})[0])
        except Exception as error:  # as above
            raise not_computed(self._path, images, error) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's account of every step."""
    was_disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(was_disabled)


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{name} cannot be imported ({error}): {_INSTALL}") from error
