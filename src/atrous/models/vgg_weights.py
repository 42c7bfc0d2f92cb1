"""VGG-16's weights, from Caffe, torchvision or Keras, in one form: Caffe's names, BGR minus a mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.checkpoint import save_tensors
from atrous.models.contract import IMAGENET_BGR, Normalization
from atrous.models.vgg import (
    KERAS_COUNTED_LAYERS,
    KERAS_LAYERS,
    STAGES,
    TORCHVISION_FEATURES,
    TORCHVISION_LAYERS,
)
from atrous.weights.fit import Fitted, fit

VGG16 = "vgg16"  # what the header of a file in this form calls its weights
CONVOLUTIONS = tuple(TORCHVISION_FEATURES)
HEAD = ("fc6", "fc7")
_OWN_LAYERS = {layer: layer for layer in (*CONVOLUTIONS, *HEAD)}
_NAMED = (".weight", ".bias")  # how a state dict tells them
_COUNTED = ("[0]", "[1]")  # how files are reported that only count them

# torchvision's preprocessing is (x / 255 - mean) / std; here on 0-255.
TORCHVISION_RGB = Normalization(
    (0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255), "RGB"
)
# Of its second set of weights, IMAGENET1K_FEATURES, which came from Caffe by way of SSD: no division.
TORCHVISION_FEATURES_RGB = Normalization((0.48235 * 255, 0.45882 * 255, 0.40784 * 255))


@dataclass(frozen=True, slots=True)
class VGGWeights:
    """VGG-16's weights in one form, as far as a file has them.

    Attributes:
        fitted: Tensors by Caffe's names, conv1_1.weight .. fc7.bias, in the shapes of `PARAMETERS`, and what
            became of every tensor of the file. A file may lack fc6 and fc7, but not one of them.
        normalization: How they want their pixels: BGR in 0-255 minus a mean.
    """

    fitted: Fitted
    normalization: Normalization = IMAGENET_BGR


def _parameters() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    in_channels = 3
    for layer in CONVOLUTIONS:
        channels = STAGES[int(layer[4])][0]
        shapes |= {f"{layer}.weight": (channels, in_channels, 3, 3), f"{layer}.bias": (channels,)}
        in_channels = channels
    shapes |= {"fc6.weight": (4096, 512, 7, 7), "fc6.bias": (4096,)}
    return {**shapes, "fc7.weight": (4096, 4096, 1, 1), "fc7.bias": (4096,)}


PARAMETERS = _parameters()
"""Shapes by Caffe's names, the inner products as convolutions."""


def by_vgg_names(
    tensors: Mapping[str, Tensor], network: nn.Module
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """What a network with VGG-16's layers, under any one prefix, can start from, by its names.

    Args:
        tensors: By Caffe's names.
        network: Its fc6 and fc7 are given values if both have VGG-16's shapes.

    Returns:
        The tensors, and the names of convolutions that do not fit and of tensors that VGG-16 has not.
    """
    own = _vgg_layers(network)
    fits = {
        name: name in tensors and name in own and tensors[name].shape == own[name][1] for name in PARAMETERS
    }
    convolutions = [name for name in PARAMETERS if name.startswith("conv")]
    inner = [name for name in PARAMETERS if name.startswith(HEAD)]
    taken = convolutions + inner if all(fits[name] for name in inner) else convolutions
    wrong = [name for name in convolutions if not fits[name]] + [name for name in tensors if name not in fits]
    return {own[name][0]: tensors[name] for name in taken if fits[name]}, tuple(wrong)


def stands_on_vgg(network: nn.Module) -> bool:
    """Whether it has VGG-16's first layer, once."""
    return f"{CONVOLUTIONS[0]}.weight" in _vgg_layers(network)


def _vgg_layers(network: nn.Module) -> dict[str, tuple[str, torch.Size]]:
    """Caffe's names to the network's own and their shapes, where there is one such layer."""
    found: dict[str, list[tuple[str, torch.Size]]] = {}
    for name, value in network.state_dict().items():
        found.setdefault(".".join(name.split(".")[-2:]), []).append((name, value.shape))
    return {name: layers[0] for name, layers in found.items() if name in PARAMETERS and len(layers) == 1}


def from_caffe(layers: Mapping[str, Sequence[Tensor]]) -> VGGWeights:
    """VGG-16 from the blobs of a `.caffemodel`, whose mean is taken for that of VGG's authors.

    Inner products may be convolutions already, and shapes may have Caffe's legacy leading ones.

    Args:
        layers: Weight and bias by layer.
    """
    return VGGWeights(_fit(_blobs(layers), layers=_OWN_LAYERS, kinds=_COUNTED))


def from_caffe_names(
    tensors: Mapping[str, Tensor], *, normalization: Normalization = IMAGENET_BGR
) -> VGGWeights:
    """VGG-16 from tensors by Caffe's names, conv1_1.weight .. fc7.bias.

    Args:
        tensors: In Caffe's layout, more or fewer than VGG-16 has.
        normalization: How they want their pixels.
    """
    return VGGWeights(_fit(tensors, layers=_OWN_LAYERS), normalization)


def from_torchvision(state_dict: Mapping[str, Tensor]) -> VGGWeights:
    """VGG-16 from the state dict of torchvision's `vgg16`, with its normalization folded into conv1_1.

    Weights IMAGENET1K_FEATURES are known by their classifier, which is NaN and not used.
    """
    only_features = bool(state_dict.get("classifier.0.bias", torch.zeros(1)).isnan().any())
    layers = {layer: TORCHVISION_LAYERS[layer] for layer in (CONVOLUTIONS if only_features else _OWN_LAYERS)}
    fitted = _fit(state_dict, layers=layers)
    given = TORCHVISION_FEATURES_RGB if only_features else TORCHVISION_RGB
    # The mean stays: shifted into the bias, it would be wrong where zeros pad the first layer's input.
    # Another order and scale of the channels keep zeros zero, so this is exact up to the border.
    red, green, blue = given.mean
    wanted = Normalization((blue, green, red), channels="BGR")
    names = ("conv1_1.weight", "conv1_1.bias")
    if all(name in fitted.tensors for name in names):
        weight, bias = (fitted.tensors[name] for name in names)
        folded = fold_normalization(weight, bias, given=given, wanted=wanted)
        fitted = replace(fitted, tensors={**fitted.tensors, **dict(zip(names, folded, strict=True))})
    return VGGWeights(fitted, wanted)


def from_keras(layers: Mapping[str, Sequence[Tensor]]) -> VGGWeights:
    """VGG-16 from the layers of Keras' `VGG16`, which takes BGR minus the mean of VGG's authors.

    Kernels are (h, w, in, out), and that of fc1 is (7 * 7 * 512, 4096): it reads features with channels last.

    Args:
        layers: Kernel and bias by layer.
    """
    names = KERAS_COUNTED_LAYERS if "conv2d" in layers else KERAS_LAYERS
    shapes = {name: _keras_shape(name) for name in PARAMETERS}
    fitted = _fit(_blobs(layers), layers=names, kinds=_COUNTED, shapes=shapes)
    tensors = {name: _from_keras(tensor, PARAMETERS[name]) for name, tensor in fitted.tensors.items()}
    return VGGWeights(replace(fitted, tensors=tensors))


def fold_normalization(
    weight: Float[Tensor, "o 3 h w"],
    bias: Float[Tensor, " o"],
    *,
    given: Normalization,
    wanted: Normalization,
) -> tuple[Float[Tensor, "o 3 h w"], Float[Tensor, " o"]]:
    """First-layer parameters that compute from `wanted` pixels what the old ones did from `given` pixels.

    For a pixel p of one color, w * (p - m) / s = w' * (p - m') / s' + w * (m' - m) / s with w' = w * s' / s.
    The last term, summed over kernel and colors, goes to the bias; unless the means are the same, it makes
    the two differ wherever the kernel sees padded zeros.

    Args:
        weight: Over pixels normalized by `given`.
        bias: Of as many channels.
        given: Normalization that the parameters were trained with.
        wanted: Normalization that they are to have.
    """
    mean, std = (_like(values, given.channels) for values in (given.mean, given.std))
    new_mean, new_std = (_like(values, wanted.channels) for values in (wanted.mean, wanted.std))
    colors = weight.double() if given.channels == "RGB" else weight.double().flip(1)
    shift = (colors * (new_mean - mean) / std).sum((1, 2, 3))
    scaled = colors * new_std / std
    ordered = scaled if wanted.channels == "RGB" else scaled.flip(1)
    return ordered.to(weight.dtype), (bias.double() + shift).to(bias.dtype)


def save_vgg_weights(path: Path, weights: VGGWeights) -> None:
    """Write a file that a training can start from; its header holds the normalization.

    Raises:
        OutputError: If the file cannot be written.
    """
    header: dict[str, Any] = {"weights": VGG16, "normalization": weights.normalization.to_dict()}
    save_tensors(path, weights.fitted.tensors, header)


def _blobs(layers: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    return {
        f"{layer}[{number}]": blob for layer, blobs in layers.items() for number, blob in enumerate(blobs)
    }


def _fit(
    given: Mapping[str, Tensor],
    *,
    layers: Mapping[str, str],
    kinds: tuple[str, str] = _NAMED,
    shapes: Mapping[str, Sequence[int]] = PARAMETERS,
) -> Fitted:
    """Foreign tensors by Caffe's names; fc6 and fc7 are wanted where the file has anything of them.

    Args:
        given: By their foreign names, a layer's and a kind's.
        layers: Foreign names by Caffe's.
        kinds: How the file tells weight and bias.
        shapes: In the file, by Caffe's names.
    """
    names = {
        f"{foreign}{kind}": f"{layer}{own}"
        for layer, foreign in layers.items()
        for kind, own in zip(kinds, _NAMED, strict=True)
    }
    wanted = {name: shape for name, shape in shapes.items() if name.startswith("conv")}
    if any(names.get(source, "").startswith(HEAD) for source in given):
        wanted = shapes
    return fit(given, names=names, shapes=wanted)


def _keras_shape(name: str) -> tuple[int, ...]:
    """Of the same parameter in Keras."""
    shape = PARAMETERS[name]
    if len(shape) == 1:
        return shape
    out_channels, in_channels, height, width = shape
    if name.startswith(HEAD):
        return (height * width * in_channels, out_channels)
    return (height, width, in_channels, out_channels)


def _from_keras(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    if len(shape) == 1:
        return tensor
    out_channels, in_channels, height, width = shape
    return tensor.reshape(height, width, in_channels, out_channels).permute(3, 2, 0, 1)


def _like(values: tuple[float, float, float], channels: str) -> Tensor:
    """Red, green and blue values, to broadcast over a kernel."""
    colors = values if channels == "RGB" else values[::-1]
    return torch.tensor(colors, dtype=torch.float64).view(3, 1, 1)
