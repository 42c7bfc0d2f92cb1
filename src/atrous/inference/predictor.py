"""From an image to a label or value of every pixel: normalization, margin, network, upsampling, once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import CRF
from atrous.data.labels import LabelSet
from atrous.data.meaning import Meaning
from atrous.data.quantity import Quantity
from atrous.data.voice import Voice
from atrous.errors import ConfigError, GeometryError
from atrous.inference.bands import WHOLE_PIXELS, Bands, TiledImage
from atrous.inference.engine import Engine, TorchEngine, refuse_not_finite
from atrous.inference.engines import build_engine
from atrous.inference.exported import ExportedNetwork, refuse_labels_only
from atrous.inference.machine import Precision, pick_device
from atrous.inference.margin import Margined, ReadRows
from atrous.inference.picture import Picture, to_picture
from atrous.inference.prediction import Prediction
from atrous.inference.refinement import refine_scores
from atrous.inference.released import Protocol, refuse_protocol, released_probabilities
from atrous.inference.seen_as import resized, seen_as
from atrous.inference.sound_prediction import sound_scores
from atrous.inference.stored import load_stored
from atrous.inference.views import Views
from atrous.inference.volume_prediction import refuse_image_ways, volume_scores, whole_scores
from atrous.models.contract import DenseNetwork
from atrous.ops.resample import upsample_logits
from atrous.ops.upsample_labels import LabelUpsampler

ONE_VIEW = Views()


class Predictor:
    """A network ready for images of any size.

    Args:
        network: The path of a checkpoint, or of an .onnx or .xml that `atrous export` wrote; or a network.
        label_set: Names and colors of classes, or the quantity of a regression; from the checkpoint unless
            given.
        device: "auto" takes a GPU where there is one.
        precision: "float32", "bfloat16", or "auto": bfloat16 where the device computes in it. Other than
            float32 it is that of a copy of the weights, made for the first image.
        views: Sizes at which the image is seen, and whether mirrored too; the probabilities of several are
            averaged. Unless they say otherwise, images larger than the checkpoint wants are shrunk.
        protocol: "exact", the whole image at once, or "released": in the tiles of the authors' script, with
            its zeros at every tile's border and its interpolation, to compare with published numbers.
        crf: Refines the scores at every pixel by the raw image: a `DenseCRF`, a `CRFRNN`, None, or "stored",
            the one that the checkpoint carries, if any.

    Attributes:
        label_set: Names and colors; of a regression the names of its channels.
        quantity: What a regression measures; None where there are classes.
        crf: The one that is applied; None for none.
        engine: What computes; another one, of `build_engine`, may take its place.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If the label set has another number of classes, or the protocol is unknown, or is
            "released" with more views than one or a network not published; if a regression has CRF or views.
    """

    def __init__(
        self,
        network: DenseNetwork | str | Path,
        *,
        label_set: Meaning | None = None,
        device: str = "auto",
        precision: Precision = "float32",
        views: Views = ONE_VIEW,
        protocol: Protocol = "exact",
        crf: CRF | Literal["stored"] | None = "stored",
    ) -> None:
        stored, longest_side = None, 0
        if isinstance(network, (str, Path)):
            found = load_stored(Path(network))
            label_set, network = label_set or found.meaning, found.network
            stored = found.crf() if crf == "stored" else None
            longest_side = found.longest_side
        self.device = pick_device(device)
        self.crf = stored if crf == "stored" else crf
        if not isinstance(self.crf, CRF | None):
            raise ConfigError(f'crf {crf!r} is none; give a DenseCRF, a CRFRNN, None, or "stored"')
        if isinstance(self.crf, CRFRNN):
            self.crf.to(self.device)
        self.network = network.to(self.device, memory_format=network.memory_format)  # type: ignore[call-overload]
        self.meaning = label_set or LabelSet.unnamed(network.num_classes)
        self.quantity = self.meaning if isinstance(self.meaning, Quantity) else None
        self.label_set = self.meaning if isinstance(self.meaning, LabelSet) else self.meaning.label_set
        self.precision: Precision = precision
        self._engine: Engine | None = None
        self._last_parts: Bands | TiledImage | None = None
        self.views = replace(views, longest_side=longest_side) if views.longest_side is None else views
        self.protocol: Protocol = protocol
        if self.meaning.num_outputs != network.num_classes:
            raise ConfigError(
                f"{self.meaning.num_outputs} label names for a network of {network.num_classes} classes; "
                "give as many names as classes"
            )
        refuse_protocol(protocol, network, views=self.views)
        if self.needs_whole:
            refuse_labels_only(network, what="a CRF, scale or flip")
        refuse_image_ways(network, views=self.views, protocol=protocol, has_crf=self.crf is not None)
        if self.quantity is not None and self.needs_whole:
            raise ConfigError(
                f"a CRF, scales and flips are for classes, not {self.quantity.kind}; leave them out"
            )

    @property
    def engine(self) -> Engine:
        """What computes, made when it is first needed."""
        if self._engine is None:
            self._engine = build_engine(self.network, precision=self.precision, device=self.device)
        return self._engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self._engine, self._last_parts = engine, None

    def __call__(self, image: np.ndarray | Image.Image | str | Path) -> Prediction:
        """Labels, probabilities and overlay of one image; the values of a regression.

        Args:
            image: RGB (h, w, 3) uint8, a Pillow image of any mode, or a file; for a network of pairs, both
                images as one array (h, w, 6); for one of volumes, which have no overlay, intensities
                (x, y, z) float32, x to the right, y to the front, z up.

        Raises:
            DataError: If the file is no readable image.
            ShapeError: If the array is no RGB image, or no pair or volume where one is wanted.
        """
        if isinstance(self.meaning, Voice):
            raise ConfigError("the network generates sounds and labels none; see atrous generate")
        if self.network.num_axes == 1:
            samples = np.asarray(image)
            cells = sound_scores(self.network, self.engine, samples, device=self.device)
            return Prediction(samples, cells, self.label_set)
        if self.network.num_axes == 3:
            values, geometry = np.asarray(image), self.network.geometry
            cells = whole_scores(volume_scores(self.network, self.engine, values, device=self.device))
            return Prediction(
                values, cells, self.label_set, stride=geometry.output_stride, center=geometry.center
            )
        pixels = to_picture(image, channels=self.network.num_channels)
        if self.views.are_one and self.crf is None and self.protocol == "exact":
            return self._seen_once(pixels)
        logits = self._logits(pixels)
        if self.crf is not None:
            logits = refine_scores(self.crf, logits, pixels)
        return Prediction(pixels, logits, self.label_set)

    @property
    def needs_whole(self) -> bool:
        """Whether scores are needed at all pixels: for a CRF, several views, the released protocol."""
        return self.crf is not None or not self.views.is_plain or self.protocol == "released"

    def _seen_once(self, pixels: Picture) -> Prediction:
        """From cells of one view, without scores at all pixels."""
        ((scale, _),) = self.views.of(pixels.shape[:2])
        seen, zoom = resized(pixels, scale)
        cells, grid = self.scores(seen), self.network.geometry
        return Prediction(pixels, cells, self.label_set, grid.output_stride, grid.center, self.quantity, zoom)

    def _logits(self, pixels: Picture) -> Float[Tensor, "k h w"]:
        """What the network says at every pixel, without a CRF."""
        if self.protocol == "released":
            with torch.inference_mode():
                return released_probabilities(self.network, self._with_margin(pixels), self.engine).log()
        views = self.views.of(pixels.shape[:2])
        if views == [(1.0, False)]:
            return self.upsample(self.scores(pixels), pixels.shape[:2])
        seen = [
            seen_as(pixels, self.scores, self.network.geometry, scale=scale, mirrored=mirrored)
            for scale, mirrored in views
        ]
        return torch.stack(seen).mean(0).log()

    def upsample(self, cells: Float[Tensor, "k y x"], size: tuple[int, int]) -> Float[Tensor, "k h w"]:
        """What `scores` gives, at every pixel of an image of this size (h, w)."""
        geometry = self.network.geometry
        return upsample_logits(cells[None], size, stride=geometry.output_stride, center=geometry.center)[0]

    def scores(self, image: Picture) -> Float[Tensor, "k y x"]:
        """Logits on the network's own grid of ceil(side / output_stride) cells, float32."""
        size = image.shape[:2]
        if size[0] * size[1] > WHOLE_PIXELS and self.sees_in_parts(size):
            parts = self._in_parts(size)
            found = parts.cells(lambda start, stop: image[start:stop])
            return refuse_not_finite(torch.cat(list(found), 1))
        return refuse_not_finite(self.engine(self._with_margin(image))[0])

    def label_rows(
        self, size: tuple[int, int], read: ReadRows, *, start: int = 0
    ) -> Iterator[UInt8[np.ndarray, "rows w"]]:
        """The labels of an image that is never in memory as a whole, some rows at a time, top to bottom.

        They are those of the whole image, within float rounding. Memory does not grow with the height.

        Args:
            size: Height and width of the image in pixels.
            read: Gives the rows from a first one up to a last one of the image, RGB, 0-255. It is called from
                another thread, from top to bottom, but for some rows at the lower border.
            start: The first row whose labels are wanted; what they do not see is not read.

        Raises:
            ConfigError: If there is a CRF, a quantity, views, or the authors' tiles.
            GeometryError: If an operator of the network sees the whole image.
            ShapeError: If the image has no such row.
        """
        if self.quantity:
            raise ConfigError(f"{self.quantity.kind} has no labels; take the values of an image in memory")
        if self.needs_whole:
            raise ConfigError(
                "a CRF, scales, flips, a longest side, the released protocol see whole images; leave them out"
            )
        parts = self._in_parts(size)
        geometry = self.network.geometry
        upsampler = LabelUpsampler(
            tuple(-(-side // geometry.output_stride) for side in size),  # type: ignore[arg-type]
            size,
            stride=geometry.output_stride,
            center=geometry.center,
            start=start,
        )
        for cells in parts.cells(read, first=upsampler.received):
            labels = upsampler.push(refuse_not_finite(cells))
            if len(labels):
                yield labels

    def sees_in_parts(self, size: tuple[int, int]) -> bool:
        """Whether an image of this size (h, w) can go through in parts: no operator sees it all."""
        try:
            self._in_parts(size)
        except GeometryError:
            return False
        return True

    def _in_parts(self, size: tuple[int, int]) -> Bands | TiledImage:
        """Images of this size in parts; the last ones are kept, since tracing takes seconds."""
        if self._last_parts is None or self._last_parts.size != size:
            engine = self.engine
            if isinstance(engine, TorchEngine):
                self._last_parts = Bands(self.network, engine.network, size, device=self.device)
            else:
                network = self.network
                twin = network.twin() if isinstance(network, ExportedNetwork) else None
                self._last_parts = TiledImage(network, engine, size, twin=twin)
        return self._last_parts

    def _with_margin(self, image: Picture) -> Float[Tensor, "1 c y x"]:
        """The image as the network wants it."""
        return Margined(self.network, image.shape[:2], self.device).whole(image)
