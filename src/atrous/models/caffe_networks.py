"""Which published network a `.caffemodel` holds, told from the names of its layers."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from atrous.config import suggestion
from atrous.data.labels import MAX_CLASSES, LabelSet
from atrous.errors import CheckpointError, ConfigError
from atrous.models.catalog import CATALOG
from atrous.models.contract import Normalization
from atrous.models.dilated_net import DilatedNet
from atrous.models.imported import Imported
from atrous.models.released import RELEASED_LABELS, VOC_MEAN, caffe_layers, front_end_layers
from atrous.models.vgg_weights import VGG16
from atrous.weights.fit import fit

FRONT_END = "frontend"
KNOWN = (*RELEASED_LABELS, FRONT_END, VGG16)
"""What can be read: the four networks, a front end that the released scripts trained, and plain VGG-16."""

_BY_DEPTH = {5: "dilation7_kitti", 6: "dilation8_camvid", 8: "dilation10_cityscapes"}  # layers ctx_conv*
_SHOWN = 5


def recognize(layers: Collection[str], *, source: str) -> str:
    """One of `KNOWN`, from the names of the layers that have blobs; `source` names the file in messages.

    Raises:
        CheckpointError: If the names are those of none.
    """
    depth = sum(name.startswith("ctx_conv") for name in layers)
    if "ct_conv1_1" in layers:
        return "dilation8_voc"
    if depth in _BY_DEPTH:
        return _BY_DEPTH[depth]
    if depth == 0 and final_layer(layers):
        return FRONT_END
    if "conv1_1" in layers and depth == 0:
        return VGG16
    shown = ", ".join(sorted(layers)[:_SHOWN])
    raise CheckpointError(
        f"{source} has layers of no known network ({len(layers)}: {shown}, ...); name one by --network: "
        f"{', '.join(KNOWN)}"
    )


def final_layer(layers: Collection[str]) -> str:
    """Name of the front end's last layer, which differs among the published networks; empty without one."""
    return next((name for name in ("fc-final", "final") if name in layers), "")


def import_network(layers: Mapping[str, Sequence[Tensor]], *, name: str) -> Imported:
    """The network of that name, for as many classes as its last layer has, with the blobs that fit.

    Args:
        layers: Blobs by layer, as `read_caffemodel` gives them.
        name: One of `KNOWN` but VGG-16.

    Raises:
        CheckpointError: If the front end's last layer, which says how many classes there are, is missing or
            of another form.
        ConfigError: If there is no such network.
    """
    if name not in KNOWN[:-1]:
        raise ConfigError(f'no published network "{name}"; {suggestion(name, KNOWN)}')
    final = final_layer(layers)
    num_classes = _num_classes(layers, final, name=name)
    with torch.device("meta"):  # the file brings the values
        network = CATALOG[name](num_classes)
    modules = front_end_layers(final=final)
    if isinstance(network, DilatedNet):
        prefix = "ct" if name == "dilation8_voc" else "ctx"
        modules = caffe_layers(network, prefix=prefix, final=final)
    fitted = fit(
        {f"{layer}[{number}]": blob for layer, blobs in layers.items() for number, blob in enumerate(blobs)},
        names={
            f"{layer}[{number}]": f"{module}.{kind}"
            for layer, module in modules.items()
            for number, kind in enumerate(("weight", "bias"))
        },
        shapes={parameter: value.shape for parameter, value in network.state_dict().items()},
    )
    network.load_state_dict(fitted.tensors, strict=False, assign=True)
    if name == FRONT_END:  # the released train.py subtracts the mean of VOC unless told another
        network.use_normalization_(Normalization(VOC_MEAN, channels="BGR"))
    return Imported(name, network.eval(), _label_set(name, final, num_classes), fitted)


def _label_set(name: str, final: str, num_classes: int) -> LabelSet:
    """The published classes, if they can be these; of the front ends, only VOC's ends in fc-final."""
    published = RELEASED_LABELS["dilation8_voc"] if final == "fc-final" else RELEASED_LABELS.get(name)
    if published is not None and published.num_classes == num_classes:
        return published
    return LabelSet.unnamed(num_classes)


def _num_classes(layers: Mapping[str, Sequence[Tensor]], final: str, *, name: str) -> int:
    """Channels of the front end's last layer."""
    if not final:
        raise CheckpointError(
            f"no layer final or fc-final, whose channels are the classes of {name}; choose another network: "
            f"{', '.join(KNOWN)}"
        )
    shape = tuple(layers[final][0].shape)
    shape = shape[2:] if shape[:2] == (1, 1) else shape  # an inner product in four legacy dimensions
    if len(shape) < 2 or not 1 <= shape[0] <= MAX_CLASSES:
        raise CheckpointError(
            f"layer {final} has weights {shape}; {name} wants (classes, 4096, 1, 1) there, with 1 to "
            f"{MAX_CLASSES} classes"
        )
    return shape[0]
