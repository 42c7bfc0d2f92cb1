"""OpenVINO files: an .xml with the graph and a .bin with the weights beside it, in int8 on request."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from atrous.errors import CheckpointError, GeometryError
from atrous.export.card import KEY, Card, not_computed
from atrous.export.openvino_package import load_nncf, load_openvino, openvino_core, quietly
from atrous.export.program import AXES
from atrous.geometry.program import export_program

Item = TypeVar("Item")


def openvino_model(network: nn.Module, example: Tensor, card: Card) -> Any:
    """A network as an OpenVINO model, batch and spatial axes dynamic, the card in it.

    Args:
        network: What is exported, in evaluation mode.
        example: A batch of two that it takes.
        card: What the file tells of itself.

    Raises:
        ConfigError: If OpenVINO is not installed.
        GeometryError: If the network, or an operator of it, cannot be exported.
    """
    openvino = load_openvino()
    program = export_program(network, example, any_size=True)
    with quietly():
        try:
            model = openvino.convert_model(program)
        except Exception as error:  # each of its translators raises what it likes
            reason = " ".join(str(error).split())[-300:]
            raise GeometryError(f"OpenVINO has no form for an operator of this network: {reason}") from error
    model.inputs[0].get_tensor().set_names({"images"})
    model.outputs[0].get_tensor().set_names({card.ends.result})
    dims = [-1, card.num_channels, *(-1,) * len(AXES[card.num_axes])]
    model.reshape(dims)
    return described(model, card)


def described(model: Any, card: Card) -> Any:
    """The model, the card in it in place of any other."""
    model.set_rt_info(card.to_json(), [KEY, "card"])
    for name, text in card.plain().items():
        model.set_rt_info(text, [KEY, name])
    return model


def quantized(model: Any, items: Sequence[Item], read: Callable[[Item], np.ndarray], *, result: str) -> Any:
    """A model whose convolutions compute in int8.

    Args:
        model: Of any size.
        items: What to calibrate on.
        read: From one of them to an input of the model; one by one, since at Dilation8's margin 40 would take
            0.3 GB.
        result: What it gives; interpolation to pixels stays in float.

    Raises:
        ConfigError: If NNCF cannot be imported.
    """
    nncf = load_nncf()
    ignored = None if result == "logits" else nncf.IgnoredScope(types=["MatMul"], validate=False)
    with quietly():
        return nncf.quantize(
            model, nncf.Dataset(list(items), read), subset_size=len(items), ignored_scope=ignored
        )


def write_openvino(model: Any, path: Path, *, in_float16: bool) -> None:
    """Write NAME.xml and, beside it, NAME.bin.

    Raises:
        OSError: If they cannot be written.
    """
    try:
        load_openvino().save_model(model, path, compress_to_fp16=in_float16)
    except RuntimeError as error:
        raise OSError(" ".join(str(error).split())[-200:]) from error


class OpenVINOFile:
    """An .xml that `write_openvino` wrote, compiled for sizes that change.

    Args:
        path: The .xml; its .bin lies beside it.
        in_bfloat16: Whether to compute in bfloat16 where the file does not say int8.

    Attributes:
        card: What it tells of itself.
        description: What computes, in one line.

    Raises:
        ConfigError: If OpenVINO is not installed.
        CheckpointError: If the file is missing, broken, or not written by `atrous export`.
    """

    def __init__(self, path: Path, *, in_bfloat16: bool = False) -> None:
        openvino, core = load_openvino(), openvino_core()
        for file in (path, path.with_suffix(".bin")):
            if not file.is_file():
                raise CheckpointError(f"no file at {file}; keep both, .xml and .bin, side by side")
        try:
            model = core.read_model(path)
            text = str(model.get_rt_info([KEY, "card"]).value) if model.has_rt_info([KEY, "card"]) else None
        except (RuntimeError, ValueError, TypeError) as error:  # ValueError: of bytes that are no UTF-8
            reason = " ".join(str(error).split()).rsplit(": ", 1)[-1]
            raise CheckpointError(f"{path} cannot be read as OpenVINO ({reason}); export it anew") from error
        if text is None:
            raise CheckpointError(
                f"{path} does not say what its outputs mean; give a file that atrous export wrote"
            )
        self.card = Card.from_json(text, source=str(path))
        self._model, self._path = model, path
        self._in_bfloat16 = in_bfloat16
        computing = "bfloat16" if in_bfloat16 else self.card.precision
        self.description = f"OpenVINO {openvino.__version__.partition('-')[0]}, {computing}"

    @cached_property
    def _compiled(self) -> Any:
        """Made for the first input: who wants the card alone does not wait for it."""
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if self._in_bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        return openvino_core().compile_model(self._model, "CPU", settings)

    def __call__(self, images: Tensor) -> Tensor:
        """What the graph gives of its input.

        Raises:
            CheckpointError: If it cannot be computed.
        """
        try:
            return torch.from_numpy(self._compiled([images.cpu().contiguous().numpy()])[0].copy())
        except (RuntimeError, ValueError, TypeError, LookupError) as error:
            raise not_computed(self._path, images, error) from error
