"""Pictures, masks, pictures of measured values, and rasters that GDAL reads."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from fuzz.formats import Format
from fuzz.jail import Limits
from fuzz.mutations import damaged

_RANDOM = np.random.default_rng(0)
RGB = np.kron(_RANDOM.integers(0, 256, (5, 7, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
LABELS = np.kron(_RANDOM.integers(0, 3, (5, 7), np.uint8), np.ones((4, 4), np.uint8))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def turned(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def raster_pngs() -> list[bytes]:
    return [*pngs()[:1], *pngs()[2:4], saved(Image.fromarray(RGB), "PNG", exif=turned(1))]


def raster_jpegs() -> list[bytes]:
    return [jpegs()[1], jpegs()[3], saved(Image.fromarray(RGB), "JPEG", exif=turned(1))]


def palette(labels: np.ndarray = LABELS) -> Image.Image:
    image = Image.fromarray(labels)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    return image


def pngs() -> list[bytes]:
    image = Image.fromarray(RGB)
    deep = Image.fromarray(_RANDOM.integers(0, 65_536, (9, 11)).astype(np.uint16))
    return [
        saved(image, "PNG"),
        saved(image, "PNG", exif=turned()),
        saved(palette(), "PNG", transparency=1),
        saved(deep, "PNG"),
        saved(image.convert("1"), "PNG"),
        saved(image.convert("RGBA"), "PNG", compress_level=0),
    ]


def jpegs() -> list[bytes]:
    image = Image.fromarray(RGB)
    return [
        saved(image, "JPEG", exif=turned()),
        saved(image, "JPEG", progressive=True),
        saved(image.convert("CMYK"), "JPEG"),
        saved(image.convert("L"), "JPEG"),
    ]


def tiffs() -> list[bytes]:
    image = Image.fromarray(RGB)
    kinds = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    deep = Image.fromarray(_RANDOM.integers(0, 65_536, (9, 11)).astype(np.uint16))
    return [*(saved(image, "TIFF", compression=kind) for kind in kinds), saved(deep, "TIFF")]


def others() -> list[bytes]:
    image = Image.fromarray(RGB)
    kinds = ("BMP", "GIF", "PPM", "WEBP", "JPEG2000")
    more = [saved(image, "WEBP", lossless=True, exif=turned()), saved(image.convert("L"), "PPM")]
    return [*(saved(image, kind) for kind in kinds), *more]


def masks() -> list[bytes]:
    deep = Image.fromarray(LABELS.astype(np.uint16))
    colors = Image.fromarray(np.array([[0, 0, 0], [255, 0, 0], [9, 9, 9]], np.uint8)[LABELS])
    return [
        saved(palette(), "PNG", bits=8),
        saved(palette(), "PNG", bits=2),
        saved(Image.fromarray(LABELS), "PNG"),
        saved(deep, "PNG"),
        saved(colors, "PNG"),
    ]


def depth_tiffs() -> list[bytes]:
    from atrous.data.measured_file import encode_depth

    deep = Image.fromarray(_RANDOM.integers(0, 9000, (9, 11)).astype(np.uint16))
    return [bytes(encode_depth(np.ones((1, 9, 11), np.float32))), saved(deep, "TIFF")]


def depth_and_flow_pngs() -> list[bytes]:
    deep = Image.fromarray(_RANDOM.integers(0, 9000, (9, 11)).astype(np.uint16))
    return [saved(deep, "PNG"), kitti_flow()]


def kitti_flow() -> bytes:
    """A PNG of three 16-bit channels, which Pillow does not write."""
    rows = b"".join(b"\0" + struct.pack(">21H", *range(32_000, 32_021)) for _ in range(5))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 7, 5, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    return png(*parts, (b"IEND", b""))


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, with their checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def damaged_png(content: bytes, random: np.random.Generator) -> bytes:
    """A PNG with damage inside a chunk whose checksum is right, so that it gets further."""
    chunks, place = [], 8
    while place + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    chosen = int(random.integers(len(chunks)))
    kind, data = chunks[chosen]
    if kind == b"IDAT" and random.integers(2):
        data = zlib.compress(damaged(zlib.decompress(data), random))
    elif data:
        data = damaged(data, random)
    chunks[chosen] = (kind, data)
    return png(*chunks)


def camera() -> Any:
    """A rational polynomial camera, which stands in tags of its own."""
    from rasterio.rpc import RPC

    names = ("height", "lat", "line", "long", "samp")
    places = {f"{name}_{what}": 1.0 for name in names for what in ("off", "scale")}
    polynomials = {f"{name}_{what}_coeff": [1.0] * 20 for name in ("line", "samp") for what in ("den", "num")}
    return RPC(**places, **polynomials)


def geotiffs() -> list[bytes]:
    import rasterio
    from rasterio.io import MemoryFile

    made = []
    for compress, tiled, photometric in (
        (None, False, "RGB"),
        ("deflate", True, "RGB"),
        ("lzw", False, "RGB"),
        ("jpeg", True, "YCBCR"),
    ):
        with MemoryFile() as file:
            options: dict[str, Any] = {"compress": compress} if compress else {}
            with file.open(
                driver="GTiff", width=32, height=32, count=3, dtype="uint8", tiled=tiled, blockxsize=16,
                blockysize=16, crs="EPSG:32632", transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6), nodata=0,
                photometric=photometric, **options,
            ) as dataset:  # fmt: skip
                dataset.write(np.resize(RGB, (32, 32, 3)).transpose(2, 0, 1))
                dataset.update_tags(atrous="{}")
                if not tiled:
                    dataset.rpcs = camera()
            made.append(bytes(file.getbuffer()))
    return made


PIXELS = Limits(grown_mib=1000)
"""Pillow's own limit is 179 million pixels, of which a file may hold few: four bytes each, and a copy."""

IMAGES = (
    Format("png", ".png", "fuzz.readers:image", pngs, (damaged, damaged_png), limits=PIXELS),
    Format("jpeg", ".jpg", "fuzz.readers:image", jpegs, limits=PIXELS),
    Format("tiff", ".tif", "fuzz.readers:image", tiffs, limits=PIXELS),
    Format("other-images", ".bmp", "fuzz.readers:image", others, limits=PIXELS),
    Format("mask", ".png", "fuzz.readers:mask", masks, (damaged, damaged_png), limits=PIXELS),
    Format("depth-tiff", ".tif", "fuzz.readers:measured", depth_tiffs, limits=PIXELS),
    Format(
        "depth-and-flow-png",
        ".png",
        "fuzz.readers:measured",
        depth_and_flow_pngs,
        (damaged, damaged_png),
        limits=PIXELS,
    ),
    Format("geotiff", ".tif", "fuzz.readers:raster", geotiffs, limits=PIXELS),
    Format("raster-png", ".png", "fuzz.readers:raster", raster_pngs, (damaged, damaged_png)),
    Format("raster-jpeg", ".jpg", "fuzz.readers:raster", raster_jpegs),
)
