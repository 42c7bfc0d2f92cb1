"""The released networks as prototxt and .caffemodel, from their published tables and not from our modules.

And OpenCV's engine, which runs such files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

FRONT_END = [  # layer, channels, kernel, dilation; "pool" between
    ("conv1_1", 64, 3, 1), ("conv1_2", 64, 3, 1), "pool1",
    ("conv2_1", 128, 3, 1), ("conv2_2", 128, 3, 1), "pool2",
    ("conv3_1", 256, 3, 1), ("conv3_2", 256, 3, 1), ("conv3_3", 256, 3, 1), "pool3",
    ("conv4_1", 512, 3, 1), ("conv4_2", 512, 3, 1), ("conv4_3", 512, 3, 1),
    ("conv5_1", 512, 3, 2), ("conv5_2", 512, 3, 2), ("conv5_3", 512, 3, 2),
    ("fc6", 4096, 7, 4), ("fc7", 4096, 1, 1),
]  # fmt: skip
LARGE = (42, 42, 84, 168, 336, 672, 672, 21)

# network: classes, last layer of the front end, prefix, dilations of the context module
NETWORKS = {
    "dilation7_kitti": (11, "final", "ctx", (1, 1, 2, 4, 8, 1)),
    "dilation8_camvid": (11, "final", "ctx", (1, 1, 2, 4, 8, 16, 1)),
    "dilation8_voc": (21, "fc-final", "ct", (1, 1, 2, 4, 8, 16, 1)),
    "dilation10_cityscapes": (19, "final", "ctx", (1, 1, 2, 4, 8, 16, 32, 64, 1)),
}


class Prototxt:
    """A network written layer by layer, with the shapes of its blobs."""

    def __init__(self, height: int, width: int) -> None:
        self.text = f'input: "data"\ninput_shape {{ dim: 1 dim: 3 dim: {height} dim: {width} }}\n'
        self.top, self.channels = "data", 3
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def add(self, name: str, kind: str, parameters: str = "", *, in_place: bool = False) -> None:
        top = self.top if in_place else name
        self.text += (
            f'layer {{ name: "{name}" type: "{kind}" bottom: "{self.top}" top: "{top}" {parameters} }}\n'
        )
        self.top = top

    def convolve(self, name: str, channels: int, kernel: int, *, dilation: int = 1, pad: int = 0) -> None:
        self.shapes[name] = [(channels, self.channels, kernel, kernel), (channels,)]
        self.channels = channels
        settings = f"num_output: {channels} kernel_size: {kernel} dilation: {dilation} pad: {pad}"
        self.add(name, "Convolution", f"convolution_param {{ {settings} }}")

    def rectify(self) -> None:
        self.add(f"relu_{self.top}", "ReLU", in_place=True)


def released_prototxt(name: str, height: int, width: int) -> Prototxt:
    """A released network for an input of another size, margin included."""
    num_classes, final, prefix, dilations = NETWORKS[name]
    net = Prototxt(height, width)
    for layer in FRONT_END:
        if isinstance(layer, str):
            net.add(layer, "Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
            continue
        layer_name, channels, kernel, dilation = layer
        net.convolve(layer_name, channels, kernel, dilation=dilation)
        net.rectify()
    net.convolve(final, num_classes, 1)
    stages = ["conv1_1", "conv1_2", *(f"conv{stage}_1" for stage in range(2, len(dilations) - 1)), "fc1"]
    for number, (stage, dilation) in enumerate(zip(stages, dilations, strict=True)):
        large = name == "dilation8_voc"
        pad = (33 if number == 0 else 0) if large else dilation
        channels = LARGE[number] if large else num_classes
        net.convolve(f"{prefix}_{stage}", channels, 3, dilation=dilation, pad=pad)
        net.rectify()
    net.convolve(f"{prefix}_final", num_classes, 1)
    if name == "dilation10_cityscapes":
        net.shapes[f"{prefix}_upsample"] = [(num_classes, 1, 16, 16)]
        settings = f"num_output: {num_classes} kernel_size: 16 stride: 8 pad: 4 group: {num_classes}"
        net.add(f"{prefix}_upsample", "Deconvolution", f"convolution_param {{ {settings} bias_term: false }}")
    net.add("prob", "Softmax")
    return net


def random_blobs(
    shapes: Mapping[str, Sequence[tuple[int, ...]]], *, seed: int
) -> dict[str, list[np.ndarray]]:
    """Weights as large as He et al. want them, biases of all signs, and Caffe's bilinear filler."""
    generator = np.random.default_rng(seed)
    blobs: dict[str, list[np.ndarray]] = {}
    for layer, (weight, *bias) in shapes.items():
        if layer.endswith("upsample"):
            hat = 1 - np.abs(np.arange(16) / 8 - 15 / 16)
            blobs[layer] = [np.broadcast_to(np.outer(hat, hat), weight).astype(np.float32)]
            continue
        scale = np.float32((2 / np.prod(weight[1:])) ** 0.5)
        values = generator.standard_normal(weight, dtype=np.float32) * scale
        blobs[layer] = [values, *(generator.standard_normal(shape, dtype=np.float32) / 4 for shape in bias)]
    return blobs


def run_opencv(prototxt: str, caffemodel: Path, images: np.ndarray) -> np.ndarray:
    """What OpenCV's own engine computes of NCHW float32 images."""
    net = cv2.dnn.readNetFromCaffe(
        np.frombuffer(prototxt.encode(), np.uint8), np.fromfile(caffemodel, np.uint8)
    )
    net.enableWinograd(False)
    net.setInput(images)
    return net.forward()
