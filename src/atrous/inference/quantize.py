"""A network in int8: NNCF measures how large its values become on images, and rounds them to 256 steps."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from atrous.export.openvino import quantized
from atrous.geometry.program import evaluating
from atrous.inference.calibration import Agreement, Calibration, read_as_seen_by
from atrous.models.contract import DenseNetwork


def quantize(graph: Any, network: DenseNetwork, calibration: Calibration, *, size: tuple[int, int]) -> Any:
    """An OpenVINO model whose convolutions compute in int8.

    Args:
        graph: The network as an OpenVINO model of one size.
        network: It says how images are normalized and how wide the margin is.
        calibration: Images, each resized to that size.
        size: Height and width of an image in pixels, without the margin.

    Raises:
        ConfigError: If NNCF cannot be imported.
        DataError: If an image is not readable.
    """
    return quantized(
        graph,
        calibration.used,
        lambda path: read_as_seen_by(network, path, size=size).numpy(),
        result="logits",
    )


def compare_labels(
    quantized: Callable[[Tensor], Tensor],
    network: DenseNetwork,
    calibration: Calibration,
    *,
    size: tuple[int, int],
) -> Agreement:
    """How often the labels of all cells agree with those of the network in float32.

    Args:
        quantized: From images, normalized and with the margin, to logits.
        network: In float32.
        calibration: Images, each resized to the size.
        size: Height and width of an image in pixels, without the margin.

    Raises:
        DataError: If an image is not readable.
    """
    agreeing = cells = 0
    with evaluating(network), torch.inference_mode():
        for path in calibration.compared:
            images: Float32[Tensor, "1 3 y x"] = read_as_seen_by(network, path, size=size)
            same = quantized(images).argmax(1) == network(images).argmax(1)
            agreeing += int(same.sum())
            cells += same.numel()
    is_held_out = calibration.compared != calibration.used
    return Agreement(agreeing / cells, len(calibration.compared), is_held_out)
