"""Reading images and masks of any kind as uint8 arrays, and writing results as PNG, whole or not at all."""

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageOps

from atrous.data.image_header import BROKEN, TOO_MANY_PIXELS, opened
from atrous.data.labels import IGNORE, LabelSet
from atrous.data.notes import with_note
from atrous.errors import DataError
from atrous.files import write_atomically

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings (lower case) of the files that count as images or masks in a folder."""

JPEG_QUALITY = 92
_RUNS: dict[str, Any] = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""A third of the time of zlib's default for a fifth more bytes: label maps are runs of one number."""


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """RGB image (0-255) of a file of any mode, upright.

    The EXIF orientation is applied, alpha is dropped, 16-bit gray is scaled by 1/257, CMYK and palettes are
    converted; of a file with several pages the first counts.

    Raises:
        DataError: If the file is missing, broken or huge, or stores floats, whose range nobody knows.
    """
    return rgb_from_pillow(_open_upright(path), source=str(path))


def decode_image(data: bytes, *, source: str) -> UInt8[np.ndarray, "h w 3"]:
    """As `read_image`, of a file's content; `source` names it in errors.

    Raises:
        DataError: If it is broken or huge, or stores floats.
    """
    return rgb_from_pillow(_decode(io.BytesIO(data), source=source), source=source)


def rgb_from_pillow(image: Image.Image, *, source: str) -> UInt8[np.ndarray, "h w 3"]:
    """RGB array (0-255) of a Pillow image of any mode; `source` names it in errors.

    Raises:
        DataError: If the pixels are floats, or integers beyond 16 bits.
    """
    if image.mode == "F":
        raise floats_error(source)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.repeat(eight_bit_gray(np.asarray(image), source=source)[:, :, None], 3, axis=2)
    if image.mode in {"P", "PA", "RGBa", "La"}:  # transparent palettes and premultiplied colors: undone first
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))  # a copy: Pillow's own memory is read-only


def eight_bit_gray(gray: Integer[np.ndarray, "h w"], *, source: str) -> UInt8[np.ndarray, "h w"]:
    """Gray levels 0-255 of 16-bit ones, 0-65535, scaled by 1/257; `source` names the file in errors.

    Raises:
        DataError: If a value is beyond 16 bits.
    """
    if gray.size and not 0 <= gray.min() <= gray.max() <= 65535:
        raise DataError(
            f"{source} holds values from {gray.min()} to {gray.max()}; gray images have 0-255 or "
            "0-65535: scale them to that range"
        )
    return ((gray.astype(np.int32) + 128) // 257).astype(np.uint8)  # 65535 / 257 = 255


def floats_error(source: str) -> DataError:
    """What to say of an image that stores floats."""
    return DataError(
        f"{source} stores floats, and no rule says which are black and white; "
        "scale them to 0-255 and save them as an 8-bit image"
    )


def read_index_mask(path: Path) -> UInt8[np.ndarray, "h w"]:
    """Raw values of a mask with one channel: gray levels, or the indices (not the colors) of a palette.

    Raises:
        DataError: If the file is missing or broken, has colors, or values that 8 bits cannot hold.
    """
    image = _open_upright(path)
    if image.mode not in {"1", "L", "P", "I"} and not image.mode.startswith("I;16"):
        raise DataError(
            f"{path} is a mask with colors ({image.mode}), where one number a pixel is expected; store class "
            'numbers, or, with a labels.toml, write encoding = "color" and a palette into it'
        )
    values = np.array(image)
    if values.dtype.itemsize > 1 and values.size and not 0 <= values.min() <= values.max() <= 255:
        raise DataError(
            f"{path} is a mask with values from {values.min()} to {values.max()}; a mask has class numbers "
            "from 0 to 255: store it in 8 bits"
        )
    return values.astype(np.uint8)


def read_color_mask(path: Path, *, refuse_gray: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """Colors (RGB, 0-255) of a mask that tells its classes apart by color.

    Raises:
        DataError: If the file is missing or broken, or holds one number a pixel and that is refused.
    """
    image = _open_upright(path)
    if refuse_gray and len(image.getbands()) == 1 and image.mode != "P":
        raise DataError(
            f"{path} is a mask without colors ({image.mode}), where colors tell the classes apart; get it as "
            "the data set has it"
        )
    return rgb_from_pillow(image, source=str(path))


def write_label_map(
    path: Path, label_map: Integer[np.ndarray, "h w"], label_set: LabelSet, *, note: str = ""
) -> None:
    """Write a label map as a palette PNG: its values are the labels, its colors the classes', 255 is black.

    The file appears whole or not at all, with the note in it where there is one.

    Raises:
        DataError: If a label is neither a class nor 255.
        OutputError: If the file cannot be written.
    """
    _refuse_labels(path, label_map, label_set.num_classes)
    _save(path, _with_palette(label_map, label_set), pnginfo=with_note(note), **_RUNS)


def encode_label_map(label_map: Integer[np.ndarray, "h w"], label_set: LabelSet) -> memoryview:
    """The content of such a palette PNG; labels are those of the classes, or 255."""
    return _encoded(_with_palette(label_map, label_set), "PNG", **_RUNS)


def encode_image(image: UInt8[np.ndarray, "h w c"], *, as_jpeg: bool = False) -> memoryview:
    """The content of a PNG or JPEG of an RGB image (0-255); of RGBA a PNG."""
    if as_jpeg:
        return _encoded(Image.fromarray(image), "JPEG", quality=JPEG_QUALITY)
    return _encoded(Image.fromarray(image), "PNG", compress_level=1)


def _with_palette(label_map: Integer[np.ndarray, "h w"], label_set: LabelSet) -> Image.Image:
    image = Image.fromarray(label_map.astype(np.uint8))
    image.putpalette(palette_bytes(label_set))
    return image


def palette_bytes(label_set: LabelSet) -> bytes:
    """Red, green, blue of the labels 0-255 in a label map; what is no class is black."""
    return bytes(value for color in label_set.palette for value in color).ljust(3 * 256, b"\0")


def write_image(path: Path, image: UInt8[np.ndarray, "h w 3"], *, note: str = "") -> None:
    """Write an RGB image (0-255) as PNG or JPEG, by its ending; the file appears whole or not at all.

    A PNG keeps the note, where there is one.

    Raises:
        OutputError: If the file cannot be written.
    """
    options = {"pnginfo": with_note(note)} if note else {"quality": JPEG_QUALITY}
    _save(path, Image.fromarray(image), **options)


def image_files(folder: Path) -> tuple[Path, ...]:
    """Visible image files of a folder, by name; other files do not count."""
    return tuple(
        sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
    )


def _open_upright(path: Path) -> Image.Image:
    """Decoded first page of a file, turned as its EXIF tag says."""
    return _decode(path, source=str(path))


def _decode(file: Path | io.BytesIO, *, source: str) -> Image.Image:
    try:
        with opened(file) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return image
    except FileNotFoundError as error:
        raise DataError(f"{source} does not exist; check the name") from error
    except TOO_MANY_PIXELS as error:
        raise DataError(
            f"{source} has more pixels than Pillow's limit against decompression bombs allows ({error}); "
            "cut it into parts"
        ) from error
    except BROKEN as error:
        raise DataError(
            f"{source} cannot be read as an image ({_reason(error)}); replace the file"
        ) from error


def _refuse_labels(path: Path, label_map: Integer[np.ndarray, "h w"], num_classes: int) -> None:
    if not label_map.size or 0 <= label_map.min() <= label_map.max() < num_classes:
        return
    wrong = label_map[((label_map < 0) | (label_map >= num_classes)) & (label_map != IGNORE)]
    if wrong.size:
        raise DataError(
            f"{path}: the label map holds {int(wrong.flat[0])}, but the classes are 0-"
            f"{num_classes - 1} and {IGNORE} is ignored; write it with the labels it was made with"
        )


def _reason(error: Exception) -> str:
    """Pillow's reason on one line, without the path, which the sentence already has."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "it is no image, or cut off in its header" if text.startswith("cannot identify") else text


def _save(path: Path, image: Image.Image, **options: Any) -> None:
    """Encode in memory, in the format of the ending, and write: Pillow itself overlooks a full disk."""
    Image.init()
    encoded = _encoded(image, Image.EXTENSION[path.suffix.lower()], **options)
    write_atomically(path, lambda temporary: temporary.write_bytes(encoded))


def _encoded(image: Image.Image, kind: str, **options: Any) -> memoryview:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getbuffer()
