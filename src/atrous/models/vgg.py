"""VGG-16's convolutions (Simonyan & Zisserman 2015, table 1, column D) at output stride 8, padded or not.

| 3x3 convolutions   | channels | VGG-16: pooled after | here | dilation here |
|--------------------|----------|----------------------|------|---------------|
| conv1_1, conv1_2   | 64       | yes                  | yes  | 1             |
| conv2_1, conv2_2   | 128      | yes                  | yes  | 1             |
| conv3_1 .. conv3_3 | 256      | yes                  | yes  | 1             |
| conv4_1 .. conv4_3 | 512      | yes                  | no   | 1             |
| conv5_1 .. conv5_3 | 512      | yes                  | no   | 2             |
"""

from collections import OrderedDict

from torch import nn

from atrous.layers.blocks import CeilMaxPool
from atrous.layers.init import he_normal_

STAGES = {1: (64, 2), 2: (128, 2), 3: (256, 3), 4: (512, 3), 5: (512, 3)}  # stage: channels, convolutions
POOLED_STAGES = (1, 2, 3)  # pool4 and pool5 are removed; Yu & Koltun 2016, section 4
STAGE_DILATION = {1: 1, 2: 1, 3: 1, 4: 1, 5: 2}  # doubled by every removed pool above

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


def dense_vgg_layers(*, padded: bool) -> OrderedDict[str, nn.Module]:
    """Layers conv1_1 .. relu5_3 at output stride 8 with conv5 dilated by 2, by their Caffe names.

    Args:
        padded: Whether each convolution pads its dilation; otherwise each side loses it.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    in_channels = 3
    for stage, (channels, depth) in STAGES.items():
        dilation = STAGE_DILATION[stage]
        for index in range(1, depth + 1):
            conv = nn.Conv2d(in_channels, channels, 3, dilation=dilation, padding=dilation if padded else 0)
            layers[f"conv{stage}_{index}"] = he_normal_(conv)
            layers[f"relu{stage}_{index}"] = nn.ReLU(inplace=True)
            in_channels = channels
        if stage in POOLED_STAGES:
            layers[f"pool{stage}"] = CeilMaxPool()
    return layers
