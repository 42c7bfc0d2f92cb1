"""Memory for rasters of 400 million pixels, as the kernel counts it for another process."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from inference.raster_files import UTM, noise

SIDE = 20_000  # px
MOST = 300  # MiB above what the imports take

SCRIPT = """
import sys
from pathlib import Path
import numpy as np, rasterio
from atrous.data.images import write_image
from atrous.data.labels import LabelSet
from atrous.inference.label_files import finish_label_map, label_map_suffix
from atrous.inference.label_strips import open_label_strips
from atrous.inference.preview import preview
from atrous.inference.rasters import open_raster

path, classes = Path(sys.argv[1]), LabelSet(("a", "b", "c"))
print("imported", flush=True)
sys.stdin.readline()
with open_raster(path) as raster:
    target = path.with_name(f"labels{label_map_suffix(raster.grid)}")
    strips = open_label_strips(target, raster.size, raster.identity())
    while (start := strips.next_row) < raster.size[0]:
        strips.append(raster.read(start, min(start + 200, raster.size[0]))[:, :, 0] % 3)
    write_image(path.with_name("labels.overlay.jpg"), preview(raster, strips, classes))
    finish_label_map(strips, raster.grid, classes)
print(target, flush=True)
sys.stdin.readline()
"""


def peak(process: subprocess.Popen) -> float:
    """Most memory that a process has had so far, MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def labels_and_memory(path: Path) -> tuple[Path, float]:
    """Label map of a raster, and the memory that it took beyond the imports, MiB."""
    command = [sys.executable, "-c", SCRIPT, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "imported\n"
        before = peak(process)
        print(file=process.stdin, flush=True)
        target = Path(process.stdout.readline().strip())
        memory = peak(process) - before
        print(file=process.stdin, flush=True)
    assert process.returncode == 0
    return target, memory


def write_png(path: Path, rows: np.ndarray) -> None:
    """A square RGB PNG of the rows (n, SIDE, 3), again and again."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    filtered = b"".join(b"\0" + row.tobytes() for row in rows)
    packer = zlib.compressobj(1)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)))
        for _ in range(SIDE // len(rows)):
            file.write(chunk(b"IDAT", packer.compress(filtered)))
        file.write(chunk(b"IDAT", packer.flush()) + chunk(b"IEND", b""))


def some_rows(count: int) -> np.ndarray:
    """Rows (count, SIDE, 3) of squares of 50 pixels."""
    return np.kron(noise(count // 50, SIDE // 50, 3), np.ones((50, 50, 1), np.uint8))


def assert_labels(path: Path, rows: np.ndarray) -> None:
    with rasterio.open(path) as stored:
        for start in (0, SIDE - 500):
            window = Window(0, start, SIDE, 500)  # type: ignore[call-arg]
            np.testing.assert_array_equal(stored.read(1, window=window)[:100], rows[:100, :, 0] % 3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_png_of_20000_by_20000_pixels_takes_little_memory(tmp_path):
    rows = some_rows(500)
    write_png(tmp_path / "a.png", rows)
    target, memory = labels_and_memory(tmp_path / "a.png")
    assert target.suffix == ".png"
    assert_labels(target, rows)
    assert memory < MOST


@pytest.mark.slow
def test_a_geotiff_of_20000_by_20000_pixels_takes_little_memory(tmp_path):
    rows = some_rows(500)
    options = {
        "count": 3,
        "dtype": "uint8",
        "width": SIDE,
        "height": SIDE,
        "tiled": True,
        "compress": "deflate",
    }
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", blockxsize=512, blockysize=512, **options, **UTM
    ) as file:
        for start in range(0, SIDE, 500):
            file.write(rows.transpose(2, 0, 1), window=Window(0, start, SIDE, 500))  # type: ignore[call-arg]
    target, memory = labels_and_memory(tmp_path / "a.tif")
    assert target.suffix == ".tif"
    assert_labels(target, rows)
    assert memory < MOST
