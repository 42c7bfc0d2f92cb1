"""The network behind the page and the API: an upload labeled, refined, and looked at pixel by pixel."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16, Float32, UInt8
from torch import Tensor

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import CRF
from atrous.data.images import decode_image
from atrous.data.labels import LabelSet
from atrous.data.quantity import Quantity
from atrous.errors import AtrousError, ConfigError
from atrous.inference.prediction import Prediction
from atrous.inference.predictor import Predictor
from atrous.inference.refinement import refine_scores
from atrous.inference.seen_as import as_seen
from atrous.jobs.crf_settings import CRFSettings, settings_of
from atrous.ops.resample import upsample_logits
from atrous.web.limits import Limits
from atrous.web.refusals import RefusedError


@dataclass(frozen=True, slots=True, eq=False)
class Labeled:
    """An image and what the network, or a CRF after it, says of it.

    Attributes:
        prediction: Of the network alone.
        labels: Of every pixel; None of a regression.
        seconds: That the network took.
        pace: Seconds a pixel, margin included, that it takes at its best here.
        refined: Probabilities after a CRF; None without one.
        crf: Its settings.
        crf_seconds: That it took.
    """

    prediction: Prediction
    labels: UInt8[np.ndarray, "h w"] | None
    seconds: float
    pace: float
    refined: Float16[Tensor, "k h w"] | None = None
    crf: dict[str, Any] | None = None
    crf_seconds: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.prediction.image.shape[:2]
        return height, width

    @property
    def seen(self) -> UInt8[np.ndarray, "y x 3"]:
        """The image at the size at which the network saw it."""
        return as_seen(self.prediction.image, self.prediction.zoom)

    @property
    def num_bytes(self) -> int:
        """What it takes in memory."""
        parts = (self.prediction.image.nbytes, 0 if self.labels is None else self.labels.nbytes)
        tensors = (self.prediction.scores, self.refined)
        return sum(parts) + sum(each.nbytes for each in tensors if each is not None)

    def probabilities(self) -> Float32[np.ndarray, "k h w"]:
        """Of each class at every pixel, after the CRF if there was one."""
        return self.prediction.probabilities() if self.refined is None else self.refined.float().numpy()

    def outputs_at(self, row: int, column: int) -> Float32[Tensor, " k"]:
        """Probabilities of the classes at a pixel; of a regression what the network says there."""
        if self.refined is not None:
            return self.refined[:, row, column].float()
        told, (strides, centers) = self.prediction, self.prediction.grid
        cells, first = told.scores, []
        for axis, (at, stride, center) in enumerate(
            zip((row, column), strides, centers, strict=True), start=1
        ):
            low = int(min(max((at - center) // stride, 0), cells.shape[axis] - 1))
            first.append(center + low * stride - at)
            cells = cells.narrow(axis, low, min(2, cells.shape[axis] - low))
        found = upsample_logits(cells[None].float(), (1, 1), stride=strides, center=first)[0, :, 0, 0]
        return (found if told.quantity else found.softmax(0)).cpu()


class Labeler:
    """A predictor within limits, with the CRF apart from it, so that one may be had without the other.

    Args:
        predictor: It is changed: its CRF becomes an attribute here.
        network: The network's name.
        limits: What is taken.

    Attributes:
        stored_crf: The CRF that the checkpoint carries, if any.
        meaning: Classes, or the quantity that is measured.
    """

    def __init__(self, predictor: Predictor, *, network: str, limits: Limits) -> None:
        self.stored_crf, predictor.crf = predictor.crf, None
        predictor.network.eval()  # stays so: workers do not switch modes under each other
        self.predictor = predictor
        self.network = network
        self.limits = limits
        self._pace = math.inf
        self.meaning: LabelSet | Quantity = predictor.quantity or predictor.label_set

    @property
    def crf(self) -> CRF:
        """What refines unless settings are given: the CRF of the checkpoint, or else the usual one."""
        return self.stored_crf or DenseCRF()

    def label(self, data: bytes, *, name: str) -> Labeled:
        """An upload, decoded and labeled.

        Args:
            data: Content of an image file.
            name: What errors call it.

        Raises:
            RefusedError: If it is no image, broken, or too large.
        """
        self.limits.refuse_upload(data, name=name)
        try:
            image = decode_image(data, source=name)
        except AtrousError as error:
            raise RefusedError(str(error), status=422) from error
        return self.label_pixels(image)

    def label_pixels(self, image: UInt8[np.ndarray, "h w 3"]) -> Labeled:
        """The same of a decoded image."""
        start = time.perf_counter()
        prediction = self.predictor(image)
        labels = None if prediction.quantity else prediction.label_map.astype(np.uint8)
        seconds = time.perf_counter() - start
        margin = 2 * self.predictor.network.margin
        height, width = (side / zoom for side, zoom in zip(image.shape[:2], prediction.zoom, strict=True))
        pixels = (height + margin) * (width + margin)
        self._pace = min(self._pace, seconds / pixels)  # others may have slowed this one
        return Labeled(prediction, labels, seconds, self._pace)

    def refine(self, labeled: Labeled, settings: CRFSettings) -> Labeled:
        """The same after a CRF, from what the network said before; the network does not run.

        Raises:
            RefusedError: If the image is too large for it, or the settings are impossible.
        """
        height, width = labeled.size
        self.limits.refuse_crf(height * width)
        try:
            crf = self._crf_of(settings)
        except ConfigError as error:
            raise RefusedError(str(error), status=422) from error
        start = time.perf_counter()
        scores = refine_scores(crf, labeled.prediction.logits, labeled.prediction.image)
        refined = scores.float().softmax(0).to("cpu", torch.float16)
        return replace(
            labeled,
            labels=scores.argmax(0).to("cpu", torch.uint8).numpy(),
            refined=refined,
            crf=settings_of(crf),
            crf_seconds=time.perf_counter() - start,
        )

    def plain(self, labeled: Labeled) -> Labeled:
        """The same without a CRF."""
        labels = labeled.prediction.label_map.astype(np.uint8)
        return replace(labeled, labels=labels, refined=None, crf=None, crf_seconds=0.0)

    def _crf_of(self, settings: CRFSettings) -> CRF:
        if self.predictor.quantity is not None:
            raise ConfigError(
                f"a CRF refines classes, and {self.predictor.quantity.kind} has none; leave it out"
            )
        if not isinstance(self.crf, CRFRNN):
            return settings.over(self.crf)
        if settings != CRFSettings():
            raise ConfigError("the checkpoint's CRF is learned and keeps its own settings; leave them out")
        return self.crf
