"""From what was asked for to what computes: one builder for all engines."""

import importlib.util
import platform
from pathlib import Path

import torch

from atrous.inference.calibration import Calibration
from atrous.inference.engine import Engine, TorchEngine
from atrous.inference.engine_choice import EngineName, EnginePrecision, Facts, choose
from atrous.inference.exported import ExportedNetwork, exported_engine
from atrous.inference.machine import fast_in_bfloat16, pick_device
from atrous.inference.model_cache import ModelCache, user_cache_folder
from atrous.inference.prepared import prepared
from atrous.models.contract import DenseNetwork

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def build_engine(
    network: DenseNetwork,
    *,
    engine: EngineName = "auto",
    precision: EnginePrecision = "auto",
    device: torch.device | str = "auto",
    sizes_repeat: bool = False,
    calibration: Path | None = None,
    cache_folder: Path | None = None,
) -> Engine:
    """What computes this network's logits, as asked for and as fast as this machine can.

    `engine(images).shape` is (b, k, ceil(h / output_stride), ceil(w / output_stride)), of images without
    their margin; its `description` is the line to show.

    Args:
        network: It is not changed, but for being moved to the device. An exported file has its own engine.
        engine: "auto" takes OpenVINO where that pays, see `engine_choice.choose`.
        precision: "auto" is bfloat16 where the device computes in it. "float32" with engine "auto" or "torch"
            is bit for bit what the network itself says.
        device: Where to compute; "auto" takes a GPU where there is one.
        sizes_repeat: Whether many images of few sizes will come: OpenVINO compiles for each size.
        calibration: A folder of images to calibrate int8 on, like those to predict.
        cache_folder: Where OpenVINO's compiled models are kept; the user's cache folder unless given.

    Raises:
        ConfigError: If the engine or precision cannot be had here, or the calibration holds no image.
    """
    if isinstance(network, ExportedNetwork):
        return exported_engine(
            network, engine=engine, precision=precision, has_calibration=calibration is not None
        )
    device = pick_device(device) if isinstance(device, str) else device
    facts = facts_of(device, sizes_repeat=sizes_repeat, has_calibration=calibration is not None)
    choice = choose(engine, precision, facts)
    if choice.engine == "torch":
        return TorchEngine(prepared(network, dtype=_DTYPES[choice.precision], device=device), device=device)
    from atrous.inference.openvino_engine import OpenVINOEngine

    return OpenVINOEngine(
        network.to(device),
        precision=choice.precision,
        cache=ModelCache(cache_folder or user_cache_folder()),
        calibration=None if calibration is None else Calibration.from_folder(calibration),
    )


def facts_of(device: torch.device, *, sizes_repeat: bool, has_calibration: bool) -> Facts:
    """The facts of this machine; nothing heavy is imported for them."""
    return Facts(
        device=device.type,
        has_bfloat16=fast_in_bfloat16(device),
        has_openvino=_is_x86() and importlib.util.find_spec("openvino") is not None,
        has_nncf=importlib.util.find_spec("nncf") is not None,
        sizes_repeat=sizes_repeat,
        has_calibration=has_calibration,
    )


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")
