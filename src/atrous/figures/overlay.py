"""Label maps in color over their images, and legends below them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageDraw, ImageFont

from atrous.data.labels import IGNORE, Color
from atrous.errors import ConfigError, DataError, ShapeError

INK, RIM = (34, 34, 34), (150, 150, 150)  # of the legend's text and of the frames round its colors


def overlay(
    image: UInt8[np.ndarray, "h w 3"],
    label_map: Integer[np.ndarray, "_ _"],
    palette: Sequence[Color],
    *,
    opacity: float = 0.5,
) -> UInt8[np.ndarray, "h w 3"]:
    """The image tinted by the colors of its labels; ignored pixels (255) stay as they are.

    Args:
        image: RGB, 0-255.
        label_map: Labels (h, w), an index into the palette or 255.
        palette: RGB colors, 0-255, one a class.
        opacity: 0 leaves the image, 1 leaves only colors.

    Returns:
        A new RGB image, 0-255.

    Raises:
        ShapeError: If image and label map differ in height or width.
        DataError: If a label has no color.
        ConfigError: If the opacity is not from 0 to 1.
    """
    if image.shape[:2] != label_map.shape:
        raise ShapeError(
            f"image {image.shape[:2]} and label map {label_map.shape} differ; bring them to one size"
        )
    if not 0 <= opacity <= 1:
        raise ConfigError(
            f"opacity {opacity} is not from 0 (image only) to 1 (colors only); choose one between"
        )
    _refuse_labels(label_map, len(palette))
    tints = np.zeros((IGNORE + 1, 3), np.float32)
    tints[: len(palette)] = opacity * np.asarray(palette, np.float32).reshape(-1, 3)
    mixed = image * np.float32(1 - opacity)  # float32, and in place from here on: twice as fast as float64
    mixed += np.take(tints, label_map, axis=0)
    mixed += np.float32(0.5)
    mixed = mixed.astype(np.uint8)
    ignored = label_map == IGNORE
    mixed[ignored] = image[ignored]
    return mixed


def _refuse_labels(label_map: Integer[np.ndarray, "h w"], num_colors: int) -> None:
    if not label_map.size or 0 <= label_map.min() <= label_map.max() < num_colors:
        return
    wrong = label_map[((label_map < 0) | (label_map >= num_colors)) & (label_map != IGNORE)]
    if wrong.size:
        raise DataError(f"label {wrong[0]} has no color in a palette of {num_colors}; give one a class")


def add_legend(
    image: UInt8[np.ndarray, "h w 3"], names: Sequence[str], palette: Sequence[Color]
) -> UInt8[np.ndarray, "H W 3"]:
    """The image with a white strip below it that names the colors.

    Args:
        image: RGB, 0-255.
        names: What the colors stand for; leave out those that the image does not show.
        palette: RGB colors, 0-255, one a name.

    Returns:
        An RGB image, higher than the given one, and wider where it is too narrow for the longest name.

    Raises:
        ConfigError: If there are not as many names as colors.
    """
    if len(names) != len(palette):
        raise ConfigError(f"{len(names)} names for {len(palette)} colors; give one name a color")
    size = int(np.clip(image.shape[1] // 40, 12, 32))  # of the letters and color squares, px
    font = _font(size)
    starts = [_width_of(name, font) + 3 * size for name in names]  # square, gap, name, gap to the next
    width = max(image.shape[1], *(start + size for start in starts), 1)
    places, x, y = [], size, size
    for advance in starts:
        if x > size and x + advance > width:
            x, y = size, y + 2 * size
        places.append((x, y))
        x += advance
    canvas = Image.new("RGB", (width, image.shape[0] + (y + 2 * size if places else 0)), "white")
    canvas.paste(Image.fromarray(image))
    draw = ImageDraw.Draw(canvas)
    for (x, y), name, color in zip(places, names, palette, strict=True):
        top = image.shape[0] + y
        draw.rectangle((x, top, x + size, top + size), fill=tuple(color), outline=RIM)
        draw.text((x + 1.5 * size, top + size / 2), name, fill=INK, font=font, anchor="lm")
    return np.array(canvas)


def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font of the other figures; Pillow's own knows few letters beyond ASCII."""
    import matplotlib  # heavy, and only legends need it

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def _width_of(text: str, font: ImageFont.FreeTypeFont) -> int:
    return int(np.ceil(font.getlength(text)))
