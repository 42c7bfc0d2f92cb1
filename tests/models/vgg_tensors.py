"""VGG-16 at random, by Caffe's names and by torchvision's, and front ends small enough to start from it."""

import torch

from atrous.models.frontend import FrontEnd, Head
from atrous.models.vgg_weights import CONVOLUTIONS, PARAMETERS

NAMES = [f"layers.{layer}.{kind}" for layer in CONVOLUTIONS for kind in ("weight", "bias")]
HEAD = [f"layers.{layer}.{kind}" for layer in ("fc6", "fc7") for kind in ("weight", "bias")]
FINAL = ["layers.final.weight", "layers.final.bias"]

# torchvision builds vgg16 from this list: a convolution and a ReLU for a number, a pool for M.
_TORCHVISION_VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]


def random_convolutions() -> dict[str, torch.Tensor]:
    """The 13 convolutions by Caffe's names, as large as He et al. want them."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=generator) * (2 / torch.Size(shape[1:]).numel()) ** 0.5
        for name, shape in PARAMETERS.items()
        if name.startswith("conv")
    }


def torchvision_features(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of vgg16's `features`, counted from how torchvision builds them."""
    renamed, index, layers = {}, 0, iter(CONVOLUTIONS)
    for entry in _TORCHVISION_VGG16:
        if entry != "M":
            layer = next(layers)
            for kind in ("weight", "bias"):
                renamed[f"features.{index}.{kind}"] = tensors[f"{layer}.{kind}"]
        index += 1 if entry == "M" else 2
    return renamed


def small_front_end(*, padding: str = "same") -> FrontEnd:
    """VGG-16's convolutions and a head of 8 channels for 3 classes."""
    return FrontEnd(3, padding=padding, head=Head(channels=8, kernel_size=3, dilation=12))
