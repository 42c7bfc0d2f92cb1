"""From an image to a label for every pixel: normalization, margin, network, upsampling, in one place."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from PIL import Image
from torch import Tensor, nn

from atrous.checkpoint import load_checkpoint
from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import CRF, crf_of, refined
from atrous.data.images import read_image, rgb_from_pillow
from atrous.data.labels import LabelSet
from atrous.errors import ConfigError, ShapeError
from atrous.inference.machine import autocast, pick_device
from atrous.inference.released import Protocol, refuse_protocol, released_probabilities
from atrous.inference.views import Views
from atrous.models.catalog import network_of
from atrous.models.contract import DenseNetwork
from atrous.ops.pad import pad_reflect
from atrous.ops.resample import upsample_logits

Picture = UInt8[np.ndarray, "h w 3"]

ONE_VIEW = Views()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says about one image.

    Attributes:
        image: RGB, 0-255, (h, w, 3).
        logits: Scores before the softmax at every pixel (k, h, w), refined where there is a CRF. Where
            several views were averaged, and by the released protocol, the log of the probabilities; -inf
            where one is 0.
        label_set: Names and colors of the k classes.
    """

    image: Picture
    logits: Float[Tensor, "k h w"]
    label_set: LabelSet

    @property
    def label_map(self) -> Int64[np.ndarray, "h w"]:
        """Number of the most probable class at every pixel."""
        return self.logits.argmax(0).cpu().numpy()

    def probabilities(self) -> Float32[np.ndarray, "k h w"]:
        """Probability of each class at every pixel; they sum to 1 over k."""
        return self.logits.float().softmax(0).cpu().numpy()

    def overlay(self, *, opacity: float = 0.5) -> Picture:
        """The image under the colors of its labels."""
        from atrous.figures.overlay import overlay

        return overlay(self.image, self.label_map, self.label_set.palette, opacity=opacity)


class Predictor:
    """A network ready for images of any size.

    Args:
        network: A checkpoint's path, or a network.
        label_set: Names and colors; from the checkpoint unless given.
        device: "auto" takes a GPU where there is one.
        precision: "float32", "bfloat16", or "auto": bfloat16 where the processor computes in it.
        views: Sizes at which the image is seen, and whether mirrored too; the probabilities are averaged.
        protocol: "exact", the whole image at once, or "released": in the tiles of the authors' script, with
            its zeros at every tile's border and its interpolation, to compare with published numbers.
        crf: Refines the scores at every pixel by the raw image: a `DenseCRF`, a `CRFRNN`, None, or "stored",
            the one that the checkpoint carries, if any.

    Attributes:
        crf: The one that is applied; None for none.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If the label set has another number of classes, or the protocol is unknown, or is
            "released" with more views than one, or a network that was not published.
    """

    def __init__(
        self,
        network: DenseNetwork | str | Path,
        *,
        label_set: LabelSet | None = None,
        device: str = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "float32",
        views: Views = ONE_VIEW,
        protocol: Protocol = "exact",
        crf: CRF | Literal["stored"] | None = "stored",
    ) -> None:
        stored = None
        if isinstance(network, (str, Path)):
            checkpoint = load_checkpoint(Path(network))
            label_set = label_set or LabelSet.from_dict(checkpoint.labels)
            network = network_of(checkpoint, source=str(network))
            stored = crf_of(checkpoint, num_classes=network.num_classes) if crf == "stored" else None
        self.device = pick_device(device)
        self.crf = stored if crf == "stored" else crf
        if not isinstance(self.crf, CRF | None):
            raise ConfigError(f'crf {crf!r} is none; give a DenseCRF, a CRFRNN, None, or "stored"')
        if isinstance(self.crf, CRFRNN):
            self.crf.to(self.device)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.label_set = label_set or LabelSet.unnamed(network.num_classes)
        self.precision: Literal["auto", "float32", "bfloat16"] = precision
        self.views = views
        self.protocol: Protocol = protocol
        if self.label_set.num_classes != network.num_classes:
            raise ConfigError(
                f"{self.label_set.num_classes} label names for a network of {network.num_classes} classes; "
                "give as many names as classes"
            )
        refuse_protocol(protocol, network, views=views)

    def __call__(self, image: np.ndarray | Image.Image | str | Path) -> Prediction:
        """Labels, probabilities and overlay of one image.

        Args:
            image: RGB (h, w, 3) uint8, a Pillow image of any mode, or a file.

        Raises:
            DataError: If the file is no readable image.
            ShapeError: If the array is no RGB image.
        """
        pixels = _to_picture(image)
        logits = self._logits(pixels)
        if self.crf is not None:
            logits = _refine(self.crf, logits, pixels)
        return Prediction(pixels, logits, self.label_set)

    def _logits(self, pixels: Picture) -> Float[Tensor, "k h w"]:
        """What the network says at every pixel, without a CRF."""
        if self.protocol == "released":
            with self._predicting():
                return released_probabilities(self.network, self._with_margin(pixels)).log()
        if self.views == ONE_VIEW:
            return self.upsample(self.scores(pixels), pixels.shape[:2])
        views = [self._view(pixels, scale, mirrored) for scale, mirrored in self.views]
        return torch.stack(views).mean(0).log()

    def upsample(self, cells: Float[Tensor, "k y x"], size: tuple[int, int]) -> Float[Tensor, "k h w"]:
        """What `scores` gives, at every pixel of an image of this size (h, w)."""
        geometry = self.network.geometry
        return upsample_logits(cells[None], size, stride=geometry.output_stride, center=geometry.center)[0]

    def scores(self, image: Picture) -> Float[Tensor, "k y x"]:
        """Logits on the network's own grid of ceil(side / output_stride) cells, float32, by no tiles."""
        images = self._with_margin(image)
        with self._predicting():
            logits = self.network(images)
        return logits[0].float()

    def _with_margin(self, image: Picture) -> Float[Tensor, "1 3 y x"]:
        """The image as the network wants it."""
        margin = self.network.margin
        pixels = torch.from_numpy(image.copy()).to(self.device).permute(2, 0, 1)[None].float()
        images = pad_reflect(self.network.normalization.apply(pixels), [(margin, margin)] * 2)
        return images.contiguous(memory_format=torch.channels_last)

    @contextmanager
    def _predicting(self) -> Iterator[None]:
        """The network answers: without dropout and gradient, in the asked precision."""
        with _evaluating(self.network), torch.inference_mode(), autocast(self.device, self.precision):
            yield

    def _view(self, pixels: Picture, scale: float, mirrored: bool) -> Float[Tensor, "k h w"]:  # noqa: FBT001
        """Probabilities at every pixel of the image, seen at another size or mirrored."""
        height, width = pixels.shape[:2]
        seen = max(1, round(height * scale)), max(1, round(width * scale))
        view = np.asarray(Image.fromarray(pixels).resize((seen[1], seen[0]), Image.Resampling.BILINEAR))
        cells = self.scores(view[:, ::-1] if mirrored else view)
        zoom = height / seen[0], width / seen[1]
        geometry = self.network.geometry
        logits = upsample_logits(
            cells[None],
            (height, width),
            stride=[geometry.output_stride * factor for factor in zoom],
            center=[(geometry.center + 0.5) * factor - 0.5 for factor in zoom],
        )[0]
        return (logits.flip(-1) if mirrored else logits).softmax(0)


def _refine(crf: CRF, logits: Float[Tensor, "k h w"], pixels: Picture) -> Float[Tensor, "k h w"]:
    """Scores refined by the raw image."""
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
    mode = _evaluating(crf) if isinstance(crf, CRFRNN) else nullcontext()
    with torch.inference_mode(), mode:
        return refined(crf, logits[None], images)[0]


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode for a while; every part is left in the mode it was in."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _to_picture(image: np.ndarray | Image.Image | str | Path) -> Picture:
    if isinstance(image, (str, Path)):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return rgb_from_pillow(image, source="the image")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ShapeError(
            f"an image is uint8 RGB (h, w, 3), not {image.dtype} {image.shape}; convert it, or pass its path"
        )
    return image
