"""VGG-16's convolutions (Simonyan & Zisserman 2015, table 1, column D) at output stride 8, 16 or 32.

| 3x3 convolutions   | channels | VGG-16: pooled after | at stride 8 | dilation there |
|--------------------|----------|----------------------|-------------|----------------|
| conv1_1, conv1_2   | 64       | yes                  | yes         | 1              |
| conv2_1, conv2_2   | 128      | yes                  | yes         | 1              |
| conv3_1 .. conv3_3 | 256      | yes                  | yes         | 1              |
| conv4_1 .. conv4_3 | 512      | yes                  | no          | 1              |
| conv5_1 .. conv5_3 | 512      | yes                  | no          | 2              |

Cells of a stage at stride s are centered on pixel (s - 1) / 2, the middle of what their pools join.
"""

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.layers.blocks import CeilMaxPool
from atrous.layers.init import he_normal_
from atrous.models.backbone import Backbone, Stage
from atrous.models.contract import IMAGENET_BGR, LogitGeometry

STAGES = {1: (64, 2), 2: (128, 2), 3: (256, 3), 4: (512, 3), 5: (512, 3)}  # stage: channels, convolutions
POOLED_STAGES = {8: 3, 16: 4, 32: 5}  # by output stride; at 8 without pool4 and pool5, Yu & Koltun, section 4

# Where torchvision's vgg16 keeps the same convolution in its `features`.
TORCHVISION_FEATURES = {
    "conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10, "conv3_2": 12, "conv3_3": 14,
    "conv4_1": 17, "conv4_2": 19, "conv4_3": 21, "conv5_1": 24, "conv5_2": 26, "conv5_3": 28,
}  # fmt: skip

# The same layers elsewhere, the classifier's inner products included.
TORCHVISION_LAYERS = {
    **{layer: f"features.{index}" for layer, index in TORCHVISION_FEATURES.items()},
    "fc6": "classifier.0", "fc7": "classifier.3",
}  # fmt: skip
KERAS_LAYERS = {
    **{layer: f"block{layer[4]}_conv{layer[6]}" for layer in TORCHVISION_FEATURES},
    "fc6": "fc1", "fc7": "fc2",
}  # fmt: skip
# A Keras 3 `.weights.h5` counts the layers of each kind and drops their names.
KERAS_COUNTED_LAYERS = {
    **{layer: f"conv2d_{index}" if index else "conv2d" for index, layer in enumerate(TORCHVISION_FEATURES)},
    "fc6": "dense", "fc7": "dense_1",
}  # fmt: skip


class VGG16(Backbone):
    """VGG-16's convolutions, padded; gives the features of all five stages.

    Args:
        output_stride: 8, 16 or 32; convolutions dilate by 2 for every pool removed above them.
        pooled: Whether features of stages that end in a pool are read after it, not before: from stride 1 on.

    Raises:
        ConfigError: If the output stride is none of these.
    """

    def __init__(self, *, output_stride: int = 32, pooled: bool = True) -> None:
        super().__init__()
        if output_stride not in POOLED_STAGES:
            raise ConfigError(f"VGG-16 has no output stride {output_stride}; give 8, 16 or 32")
        self.normalization = IMAGENET_BGR
        self.pooled = pooled
        self.layers = nn.Sequential(dense_vgg_layers(padded=True, output_stride=output_stride))
        stride, field, stages = 1, 1, []
        for stage, (channels, depth) in STAGES.items():
            dilation = _dilation(stage, output_stride)
            field += depth * 2 * dilation * stride
            before = LogitGeometry(stride, (stride - 1) / 2, field)
            if stage <= POOLED_STAGES[output_stride]:
                field, stride = field + stride, 2 * stride
            after = LogitGeometry(stride, (stride - 1) / 2, field)
            stages.append(Stage(channels, after if pooled else before))
        self.stages = tuple(stages)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
        """Features of stage 1 .. 5."""
        features, found = images, {}
        for name, layer in self.layers.named_children():
            features = layer(features)
            if self.pooled or not name.startswith("pool"):
                found[name[4]] = features  # conv3_1, relu3_1, pool3: the last of stage 3 stays
        return tuple(found.values())


def dense_vgg_layers(*, padded: bool, output_stride: int = 8) -> OrderedDict[str, nn.Module]:
    """Layers conv1_1 .. relu5_3, or pool5 at stride 32, by their Caffe names.

    Args:
        padded: Whether each convolution pads its dilation; otherwise each side loses it.
        output_stride: 8, 16 or 32.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    in_channels = 3
    for stage, (channels, depth) in STAGES.items():
        dilation = _dilation(stage, output_stride)
        for index in range(1, depth + 1):
            conv = nn.Conv2d(in_channels, channels, 3, dilation=dilation, padding=dilation if padded else 0)
            layers[f"conv{stage}_{index}"] = he_normal_(conv)
            layers[f"relu{stage}_{index}"] = nn.ReLU(inplace=True)
            in_channels = channels
        if stage <= POOLED_STAGES[output_stride]:
            layers[f"pool{stage}"] = CeilMaxPool()
    return layers


def _dilation(stage: int, output_stride: int) -> int:
    """Doubled by every removed pool above."""
    return 2 ** max(stage - 1 - POOLED_STAGES[output_stride], 0)


def vgg16(*, output_stride: int = 32) -> VGG16:
    """VGG-16's convolutions: 14.7M parameters; 188 px at stride 8, 212 px with all pools."""
    return VGG16(output_stride=output_stride)
