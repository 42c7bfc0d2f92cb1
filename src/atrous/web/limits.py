"""What a request may ask for, and the look at an upload's header before any pixel is decoded."""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from atrous.errors import ConfigError
from atrous.web.refusals import RefusedError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow knows more, some of which run other programs."""

LONGEST_SIDE = 16_384
"""Pixels of a side that browsers draw."""

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done for a request, and how much at once.

    Attributes:
        max_upload_mb: Megabytes (10^6 bytes) of a request.
        max_pixels: Of an image.
        max_crf_pixels: Of an image that a CRF refines, which takes longer than the network.
        concurrency: Images that are computed side by side.
        queue: Requests that may wait behind them; more are turned away.
        max_memory_mb: Megabytes that results of the page may take; the oldest are forgotten.
        forget_after: Minutes after which a result that nobody looks at is forgotten.

    Raises:
        ConfigError: If one of them allows nothing.
    """

    max_upload_mb: float = 20.0
    max_pixels: int = 4_194_304
    max_crf_pixels: int = 1_000_000
    concurrency: int = 1
    queue: int = 16
    max_memory_mb: float = 512.0
    forget_after: float = 30.0

    def __post_init__(self) -> None:
        for name in ("max_upload_mb", "max_pixels", "concurrency", "max_memory_mb", "forget_after"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} {getattr(self, name)} allows nothing; give a number above 0")
        for name in ("max_crf_pixels", "queue"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} {getattr(self, name)} is negative; give 0 or more")

    @property
    def max_upload(self) -> int:
        """Bytes of a request."""
        return int(self.max_upload_mb * 1e6)

    def refuse_upload(self, data: bytes, *, name: str) -> None:
        """Nothing, if an upload looks like an image of a size that is computed here; nothing is decoded.

        Raises:
            RefusedError: 415 if it is no image, 422 if its header is broken, 413 if it has too many pixels.
        """
        width, height = _size_of(data, name)
        if width * height > self.max_pixels or max(width, height) > LONGEST_SIDE:
            raise RefusedError(
                f"{name} has {width:,} x {height:,} pixels; at most {self.max_pixels:,}, and "
                f"{LONGEST_SIDE:,} a side, are taken here: send it smaller, or in parts",
                status=413,
            )

    def refuse_crf(self, pixels: int) -> None:
        """Nothing, if an image of so many pixels may be refined.

        Raises:
            RefusedError: 413 if it is too large.
        """
        if pixels > self.max_crf_pixels:
            raise RefusedError(
                f"the image has {pixels:,} pixels, and a CRF refines up to {self.max_crf_pixels:,} here; "
                "send it smaller, or leave the CRF out",
                status=413,
            )


def _size_of(data: bytes, name: str) -> tuple[int, int]:
    """Width and height as the header says."""
    if not data:
        raise RefusedError(f"{name} is empty; send an image", status=415)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return image.size
        except Image.DecompressionBombError as error:
            raise RefusedError(
                f"{name} has far too many pixels to be looked at; send it smaller", status=413
            ) from error
        except UnidentifiedImageError as error:
            raise RefusedError(
                f"{name} is no image that is read here, or cut off in its header; send PNG, JPEG, WebP, "
                "TIFF, GIF, BMP or PPM",
                status=415,
            ) from error
        except _BROKEN as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise RefusedError(f"{name} has a broken header ({reason}); send it anew", status=422) from error
