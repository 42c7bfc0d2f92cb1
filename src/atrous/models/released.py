"""The four networks that Yu & Koltun published, with what their weights mean.

| network              | input H x W | score cells | C  | context dilations            | context padding    |
|----------------------|-------------|-------------|----|------------------------------|--------------------|
| dilation7_kitti      | 852 x 1640  | 60 x 159    | 11 | 1,1,2,4,8,1                  | each layer its own |
| dilation8_camvid     | 900 x 1100  | 66 x 91     | 11 | 1,1,2,4,8,16,1               | each layer its own |
| dilation8_voc, Large | 900 x 900   | 66 x 66     | 21 | 1,1,2,4,8,16,1               | the scores by 33   |
| dilation10_cityscapes| 1396 x 1396 | 128 x 128   | 19 | 1,1,2,4,8,16,32,64,1         | each layer its own |

All stand on the same front end, take BGR in 0-255 minus the mean of their data set, and end in a 1x1
convolution; Cityscapes' then upsamples its logits eightfold by a frozen transposed convolution.
"""

from atrous.data.camvid import CAMVID_RELEASED_LABELS
from atrous.data.cityscapes import CITYSCAPES_LABELS
from atrous.data.kitti import KITTI_LABELS
from atrous.data.labels import LabelSet
from atrous.data.voc import VOC_LABELS
from atrous.layers.upsample import BilinearUpsampling
from atrous.models.context import ContextModule
from atrous.models.contract import Normalization
from atrous.models.dilated_net import DilatedNet
from atrous.models.frontend import OUTPUT_STRIDE, frontend
from atrous.models.vgg import TORCHVISION_FEATURES

# Grey levels of blue, green and red; datasets/*.json of the released scripts, Cityscapes: its predict.py.
VOC_MEAN = (102.93, 111.36, 116.52)
CAMVID_MEAN = (110.70313206, 108.77808759, 105.41212523)
KITTI_MEAN = (96.19429688, 95.55136972, 91.34692262)
CITYSCAPES_MEAN = (72.39, 82.91, 73.16)

RELEASED_LABELS: dict[str, LabelSet] = {
    "dilation7_kitti": KITTI_LABELS,
    "dilation8_camvid": CAMVID_RELEASED_LABELS,
    "dilation8_voc": VOC_LABELS,
    "dilation10_cityscapes": CITYSCAPES_LABELS,
}
"""The classes of each published network, in the order of its scores."""


def dilation7_kitti(num_classes: int = 11) -> DilatedNet:
    """Dilation7 as released for KITTI: Basic, 35 cells, 652 px."""
    context = ContextModule(num_classes, dilations=(1, 1, 2, 4, 8, 1))
    network = DilatedNet(front_end=frontend(num_classes), context=context)
    return _released(network, mean=KITTI_MEAN, tile_size=(852, 1640))


def dilation8_camvid(num_classes: int = 11) -> DilatedNet:
    """Dilation8 as released for CamVid: Basic, 67 cells, 908 px."""
    network = DilatedNet(front_end=frontend(num_classes), context=ContextModule(num_classes))
    return _released(network, mean=CAMVID_MEAN, tile_size=(900, 1100))


def dilation8_voc(num_classes: int = 21) -> DilatedNet:
    """Dilation8 as released for VOC: Large, its input padded once by 33 cells, 908 px."""
    context = ContextModule(num_classes, variant="large", padding="input")
    network = DilatedNet(front_end=frontend(num_classes), context=context)
    return _released(network, mean=VOC_MEAN, tile_size=(900, 900))


def dilation10_cityscapes(num_classes: int = 19) -> DilatedNet:
    """Dilation10 as released for Cityscapes: Basic, 259 cells (2444 px), logits upsampled to every pixel."""
    context = ContextModule(num_classes, dilations=(1, 1, 2, 4, 8, 16, 32, 64, 1))
    upsampling = BilinearUpsampling(num_classes, factor=OUTPUT_STRIDE)
    network = DilatedNet(front_end=frontend(num_classes), context=context, upsampling=upsampling)
    return _released(network, mean=CITYSCAPES_MEAN, tile_size=(1396, 1396))


def _released(
    network: DilatedNet, *, mean: tuple[float, float, float], tile_size: tuple[int, int]
) -> DilatedNet:
    network.use_normalization_(Normalization(mean, channels="BGR"))
    network.tile_size = tile_size
    return network


def caffe_layers(network: DilatedNet, *, prefix: str, final: str) -> dict[str, str]:
    """Layers by their names in the released prototxt, to modules of the network.

    Args:
        network: One of the four.
        prefix: Of the context module's layers: "ct" (VOC) or "ctx" (the others).
        final: Name of the front end's last layer: "fc-final" (VOC) or "final" (the others).
    """
    layers = {name: f"front_end.{module}" for name, module in front_end_layers(final=final).items()}
    num_dilated = len(network.context.layers) // 2  # each with a ReLU; the last is 1x1
    stages = [f"conv{stage}_1" for stage in range(2, num_dilated - 1)]
    names = ("conv1_1", "conv1_2", *stages, "fc1", "final")
    layers |= {f"{prefix}_{name}": f"context.layers.{2 * number}" for number, name in enumerate(names)}
    if network.upsampling is not None:
        layers[f"{prefix}_upsample"] = "upsampling"
    return layers


def front_end_layers(*, final: str) -> dict[str, str]:
    """The same for the front end alone."""
    same = {name: f"layers.{name}" for name in (*TORCHVISION_FEATURES, "fc6", "fc7")}
    return {**same, final: "layers.final"}
