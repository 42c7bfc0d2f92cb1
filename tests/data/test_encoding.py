import numpy as np
import pytest
from PIL import Image

from atrous.data.encoding import ColorEncoding, IndexEncoding
from atrous.errors import DataError


def _mask(path, values):
    Image.fromarray(np.array(values, dtype=np.uint8)).save(path)
    return path


def test_index_encoding_maps_values_to_labels_and_ignored_to_255(tmp_path):
    path = _mask(tmp_path / "a.png", [[10, 30], [20, 7]])
    np.testing.assert_array_equal(IndexEncoding((10, 20, 30), ignored=(7,)).read(path), [[0, 2], [1, 255]])


def test_index_encoding_agrees_with_a_loop_over_pixels(tmp_path):
    generator = np.random.default_rng(0)
    values = tuple(int(value) for value in generator.permutation(256)[:200])
    raw = generator.choice(values, (20, 30))
    encoding = IndexEncoding(values[:190], ignored=values[190:])
    expected = [[values.index(value) if values.index(value) < 190 else 255 for value in row] for row in raw]
    np.testing.assert_array_equal(encoding.read(_mask(tmp_path / "a.png", raw)), expected)


@pytest.mark.parametrize(
    ("values", "ignored", "raw", "message"),
    [
        (
            (0, 1, 2),
            (255,),
            [0, 7, 9, 1],
            r"a\.png holds 7, 9, but the classes are 0-2 and 255 is ignored; name these",
        ),
        ((0, 1), (9,), [0, 255], r"holds 255.*binary mask of 0 and 255 write values = \[0, 255\]"),
        (
            (0, 1, 2),
            (255,),
            [1, 2, 3],
            r"holds 3.*count from 0 here: subtract 1, or write values = \[1, \.\.\., 3\]",
        ),
        ((0, 1, 2), (255,), [0, 2, 3], r"holds 3.*one name is missing.*ignore_index = 3"),
        ((0, 5), (), [0, 4], "holds 4, but the classes are 0, 5; name"),
        ((0,), (255,), range(1, 20), r"holds 1, 2, 3, 4, 5, 6, 7, 8, \.\.\., but"),
    ],
)
def test_index_encoding_names_what_stands_for_nothing(tmp_path, values, ignored, raw, message):
    with pytest.raises(DataError, match=message):
        IndexEncoding(values, ignored=ignored).read(_mask(tmp_path / "a.png", [list(raw)]))


def test_index_encoding_blames_jpeg(tmp_path):
    path = _mask(tmp_path / "a.jpg", np.random.default_rng(0).integers(0, 2, (16, 16)) * 90)
    with pytest.raises(DataError, match="JPEG changes the numbers"):
        IndexEncoding((0, 90)).read(path)


@pytest.mark.parametrize(
    ("values", "ignored", "message"),
    [
        ((0, 256), (255,), "256 is outside 0-255"),
        ((0, 0), (255,), "0 stands for two"),
        ((0, 255), (255,), "255 stands for two"),
    ],
)
def test_index_encoding_refuses(values, ignored, message):
    with pytest.raises(DataError, match=message):
        IndexEncoding(values, ignored=ignored)


def test_color_encoding_agrees_with_a_loop_over_pixels(tmp_path):
    generator = np.random.default_rng(0)
    palette = [(int(r), int(g), int(b)) for r, g, b in generator.integers(0, 256, (12, 3))]
    encoding = ColorEncoding(
        tuple((color, label // 2) for label, color in enumerate(palette[:10])), ignored=tuple(palette[10:])
    )
    choice = generator.integers(0, 12, (15, 20))
    path = _mask(tmp_path / "a.png", np.array(palette)[choice])
    expected = [[index // 2 if index < 10 else 255 for index in row] for row in choice]
    np.testing.assert_array_equal(encoding.read(path), expected)


def test_color_encoding_reads_palette_files_by_color(tmp_path):
    image = Image.fromarray(np.array([[5, 0]], dtype=np.uint8))
    image.putpalette([1, 2, 3] + [0] * 12 + [9, 8, 7])
    image.save(tmp_path / "a.png")
    encoding = ColorEncoding((((1, 2, 3), 0), ((9, 8, 7), 1)))
    np.testing.assert_array_equal(encoding.read(tmp_path / "a.png"), [[1, 0]])


def test_color_encoding_names_the_most_frequent_unknown_color(tmp_path):
    path = _mask(tmp_path / "a.png", [[(1, 2, 3), (200, 100, 50), (200, 100, 50), (0, 0, 1)]])
    message = r"a\.png holds color \[200, 100, 50\], which stands for no class \(2 such colors.*ignore_colors"
    with pytest.raises(DataError, match=message):
        ColorEncoding((((1, 2, 3), 0),)).read(path)


def test_color_encoding_ignores_other_colors_on_request(tmp_path):
    path = _mask(tmp_path / "a.png", [[(1, 2, 3), (255, 255, 255), (0, 0, 0)]])
    encoding = ColorEncoding((((1, 2, 3), 0),), others_ignored=True)
    np.testing.assert_array_equal(encoding.read(path), [[0, 255, 255]])


def test_color_encoding_refuses_a_color_for_two_classes():
    with pytest.raises(DataError, match=r"color \[1, 2, 3\] stands for two"):
        ColorEncoding((((1, 2, 3), 0), ((1, 2, 3), 1)))
