"""Every network by name, built fresh or loaded from a checkpoint."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

from atrous.checkpoint import Checkpoint, load_checkpoint
from atrous.config import suggestion
from atrous.errors import CheckpointError, ConfigError
from atrous.models.claims import fitting_network, refuse_other_normalization
from atrous.models.compact import compact, compact_context, compact_dilated
from atrous.models.context import ContextModule
from atrous.models.context3d import context3d
from atrous.models.contract import DenseNetwork, normalization_of
from atrous.models.deeplab_v1 import deeplab_v1
from atrous.models.deeplab_v2 import deeplab_v2, deeplab_v2_msc
from atrous.models.deeplab_v3 import (
    deeplab_v3,
    deeplab_v3_mobilenet_v3_large,
    deeplab_v3_resnet50,
    deeplab_v3_resnet101,
)
from atrous.models.deeplab_v3plus import deeplab_v3plus
from atrous.models.dilated_attention import dilated_attention
from atrous.models.dilated_classifier import NAME as DILATED
from atrous.models.dilated_classifier import dilated_network_of
from atrous.models.dilated_net import DilatedNet, dilation8, dilation8_large, dilation8_light
from atrous.models.drn import drn_c_26, drn_d_22, drn_d_38, drn_d_54, drn_d_105
from atrous.models.efficientnet_lite import efficientnet_lite0, efficientnet_lite0_frontend
from atrous.models.fcn import fcn8s, fcn16s, fcn32s
from atrous.models.fcn_resnet import fcn_resnet50, fcn_resnet101
from atrous.models.frontend import frontend, frontend_light, frontend_same
from atrous.models.hdc import hdc_duc, hdc_duc_aspp
from atrous.models.modern import modern
from atrous.models.naive import (
    naive_large_filters,
    naive_late_upsampling,
    naive_no_pooling,
    naive_skips,
)
from atrous.models.pspnet import pspnet
from atrous.models.regressor import compact_regressor
from atrous.models.released import dilation7_kitti, dilation8_camvid, dilation8_voc, dilation10_cityscapes
from atrous.models.street import street, street_frontend
from atrous.models.unet import unet, unet_small, unet_valid
from atrous.models.wavenet import wavenet, wavenet_labeler, wavenet_undilated
from atrous.ops.levels import LEVELS

CATALOG: dict[str, Callable[..., DenseNetwork]] = {
    "frontend": frontend,
    "frontend_same": frontend_same,
    "frontend_light": frontend_light,
    "dilation8": dilation8,
    "dilation8_large": dilation8_large,
    "dilation8_light": dilation8_light,
    "dilation7_kitti": dilation7_kitti,
    "dilation8_camvid": dilation8_camvid,
    "dilation8_voc": dilation8_voc,
    "dilation10_cityscapes": dilation10_cityscapes,
    "compact": compact,
    "compact_context": compact_context,
    "compact_dilated": compact_dilated,
    "naive_no_pooling": naive_no_pooling,
    "naive_large_filters": naive_large_filters,
    "naive_late_upsampling": naive_late_upsampling,
    "naive_skips": naive_skips,
    "fcn32s": fcn32s,
    "fcn16s": fcn16s,
    "fcn8s": fcn8s,
    "fcn_resnet50": fcn_resnet50,
    "fcn_resnet101": fcn_resnet101,
    "deeplab_v1": deeplab_v1,
    "deeplab_v2": deeplab_v2,
    "deeplab_v2_msc": deeplab_v2_msc,
    "deeplab_v3": deeplab_v3,
    "deeplab_v3_resnet50": deeplab_v3_resnet50,
    "deeplab_v3_resnet101": deeplab_v3_resnet101,
    "deeplab_v3_mobilenet_v3_large": deeplab_v3_mobilenet_v3_large,
    "deeplab_v3plus": deeplab_v3plus,
    "unet": unet,
    "unet_small": unet_small,
    "unet_valid": unet_valid,
    "pspnet": pspnet,
    "drn_c_26": drn_c_26,
    "drn_d_22": drn_d_22,
    "drn_d_38": drn_d_38,
    "drn_d_54": drn_d_54,
    "drn_d_105": drn_d_105,
    "hdc_duc": hdc_duc,
    "hdc_duc_aspp": hdc_duc_aspp,
    "dilated_attention": dilated_attention,
    "modern": modern,
    "efficientnet_lite0_frontend": efficientnet_lite0_frontend,
    "efficientnet_lite0": efficientnet_lite0,
    "street_frontend": street_frontend,
    "street": street,
    "context3d": context3d,
    "compact_regressor": compact_regressor,
    "wavenet": wavenet,
    "wavenet_undilated": wavenet_undilated,
    "wavenet_labeler": wavenet_labeler,
}

# What each network with a context module stands on.
FRONT_ENDS = {
    "dilation8": "frontend",
    "dilation8_large": "frontend",
    "dilation8_light": "frontend_light",
    "dilation7_kitti": "frontend",
    "dilation8_camvid": "frontend",
    "dilation8_voc": "frontend",
    "dilation10_cityscapes": "frontend",
    "compact_context": "compact",
    "efficientnet_lite0": "efficientnet_lite0_frontend",
    "street": "street_frontend",
}


def build_network(
    name: str,
    *,
    num_classes: int | None = None,
    backbone: str = "",
    in_channels: int = 3,
    context_module: str = "none",
    noise: float = 0.0,
) -> DenseNetwork:
    """A network of the catalog with fresh weights.

    Args:
        name: A key of `CATALOG`.
        num_classes: Number of labels, or of values of a regression; unless given, that of the data the
            network was published for, or 21.
        backbone: What it stands on, for networks that stand on one: a key of `BACKBONES`, `torchvision:NAME`
            or `timm:NAME`; its own unless given.
        in_channels: 3 for an image, 6 for a pair of images; for a sound its codes and conditions.
        context_module: "none", or a "basic" or "large" context module put on top of a front end.
        noise: Standard deviation of the context module's initial weights off the identity.

    Raises:
        ConfigError: If the name is unknown, the number not positive, the network is not built for so many
            channels, has a context module already, noise is given to a network without one, or the backbone
            does not exist or fit.
        SurgeryError: If a classifier of torchvision or timm cannot be made a backbone.
    """
    if name not in CATALOG:
        raise ConfigError(f'no network "{name}" in the catalog; {suggestion(name, CATALOG)}')
    if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
        raise ConfigError(f"{num_classes!r} classes make no network; give a whole number from 1 on")
    given = () if num_classes is None else (num_classes,)
    network = CATALOG[name](*given, **_options(name, backbone=backbone, in_channels=in_channels))
    if context_module != "none":
        if isinstance(network, DilatedNet) or network.num_axes != 2:
            raise ConfigError(
                f'"{name}" has a context module already; choose a front end, or context_module "none"'
            )
        context = ContextModule(network.num_classes, variant=context_module)
        network = DilatedNet(front_end=network, context=context)
    if noise:
        if not isinstance(network, DilatedNet):
            raise ConfigError(
                f'noise {noise} is for a context module, which "{name}" has not; give it one by '
                'context_module "basic" or "large", or leave noise out'
            )
        network.context.start_(noise=noise)
    return network


def _options(name: str, *, backbone: str, in_channels: int) -> dict[str, Any]:
    """What a builder is told beyond the number of classes; refuses what it cannot be told."""
    if backbone and not _takes(name, "backbone"):
        raise ConfigError(f'"{name}" stands on no other backbone, such as {backbone}; leave backbone out')
    if in_channels != 3 and not _takes(name, "in_channels"):
        others = " or ".join(other for other in CATALOG if _speaks(other) == (in_channels >= LEVELS))
        raise ConfigError(f'"{name}" takes its own channels alone, and not {in_channels}; choose {others}')
    options = {"backbone": backbone} if backbone else {}
    return {**options, "in_channels": in_channels} if in_channels != 3 else options


def _speaks(name: str) -> bool | None:
    """Whether a network takes codes of sounds with conditions; None if it takes no other channels."""
    option = signature(CATALOG[name]).parameters.get("in_channels")
    return None if option is None else option.default == LEVELS


def _takes(name: str, option: str) -> bool:
    return name in CATALOG and option in signature(CATALOG[name]).parameters


def load_network(path: str | Path) -> DenseNetwork:
    """The network of a checkpoint, with its weights, in evaluation mode.

    Raises:
        CheckpointError: If the file is broken or its weights do not fit the network it names.
    """
    return network_of(load_checkpoint(Path(path)), source=str(path))


def network_of(checkpoint: Checkpoint, *, source: str) -> DenseNetwork:
    """The network that a checkpoint describes; `source` names it in messages.

    Raises:
        CheckpointError: If its name, arguments or tensors do not fit.
    """
    if checkpoint.network == DILATED:
        return dilated_network_of(checkpoint, source=source)
    network = fitting_network(checkpoint, build_network, source=source)
    if broken := [name for name, value in checkpoint.tensors.items() if not value.isfinite().all()]:
        raise CheckpointError(
            f"{source} holds values that are not finite, such as in {broken[0]}: its training went wrong; "
            "take an earlier checkpoint"
        )
    network.load_state_dict(checkpoint.tensors)
    normalization = normalization_of(checkpoint.normalization)
    refuse_other_normalization(network, normalization, source=source)
    network.use_normalization_(normalization)
    return network.eval()


def to_checkpoint(
    network: DenseNetwork,
    *,
    name: str,
    labels: dict[str, Any],
    progress: dict[str, Any],
    backbone: str = "",
    context_module: str = "none",
) -> Checkpoint:
    """What `save_checkpoint` writes and `load_network` reads back.

    Args:
        network: Built by `build_network`.
        name: Its name in the catalog.
        labels: `LabelSet.to_dict()` or `Quantity.to_dict()` of the data it was trained on.
        progress: How it was trained.
        backbone: As given to `build_network`.
        context_module: As given to `build_network`.
    """
    arguments = {
        "num_classes": network.num_classes,
        **({"backbone": backbone} if backbone else {}),
        **({"in_channels": network.num_channels} if _takes(name, "in_channels") else {}),
        "context_module": context_module,
    }
    return Checkpoint(
        network=name,
        arguments=arguments,
        labels=labels,
        normalization=network.normalization.to_dict(),
        progress=progress,
        tensors=dict(network.state_dict()),
    )
