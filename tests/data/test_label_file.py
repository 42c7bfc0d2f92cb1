import numpy as np
import pytest
from PIL import Image

from atrous.data.encoding import ColorEncoding, IndexEncoding
from atrous.data.label_file import propose, read_class_names, read_label_file
from atrous.errors import DataError


def _write(root, text):
    (root / "labels.toml").write_text(text, encoding="utf-8")
    return root


def test_names_alone_count_from_0_with_255_ignored(tmp_path):
    label_file = read_label_file(_write(tmp_path, 'names = ["sky", "road"]'))
    assert label_file.label_set.names == ("sky", "road")
    assert label_file.mask_encoding == IndexEncoding((0, 1), ignored=(255,))


def test_palette_and_ignore_index_are_taken(tmp_path):
    text = 'names = ["sky", "road"]\npalette = [[1, 2, 3], [4, 5, 6]]\nignore_index = 11'
    label_file = read_label_file(_write(tmp_path, text))
    assert label_file.label_set.palette == ((1, 2, 3), (4, 5, 6))
    assert label_file.mask_encoding == IndexEncoding((0, 1), ignored=(11,))


def test_binary_values_leave_nothing_ignored(tmp_path):
    label_file = read_label_file(_write(tmp_path, 'names = ["membrane", "cell"]\nvalues = [0, 255]'))
    assert label_file.mask_encoding == IndexEncoding((0, 255), ignored=())


def test_color_encoding_follows_the_palette(tmp_path):
    text = 'names = ["sky"]\npalette = [[1, 2, 3]]\nencoding = "color"\nignore_colors = [[0, 0, 0]]'
    label_file = read_label_file(_write(tmp_path, text))
    assert label_file.mask_encoding == ColorEncoding((((1, 2, 3), 0),), ignored=((0, 0, 0),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = ["sky"]', 'unknown key "name"; did you mean "names"'),
        ("", "names"),
        ('names = "sky"', "names is 'sky'; it must be a list"),
        ("names = [", "no readable TOML"),
        ('names = ["sky", "sky"]', "'sky' is used twice"),
        ('names = ["sky"]\nvalues = [0, 1]', "2 entries for 1 names"),
        ('names = ["sky", "road"]\nvalues = [0, 0]', "0 stands for two classes"),
        ('names = ["sky", "road"]\nignore_index = 1', "1 stands for two classes"),
        ('names = ["sky"]\nencoding = "colour"', "choose one of index, color"),
        ('names = ["sky"]\nencoding = "color"', "needs a palette"),
        (
            'names = ["sky"]\npalette = [[1, 2, 3]]\nencoding = "color"\nignore_index = 0',
            "ignore_index says nothing",
        ),
        ('names = ["sky"]\nignore_colors = [[1, 2, 3]]', "ignore_colors says nothing"),
        ('names = ["sky"]\npalette = [[1, 2]]', "palette"),
        (
            'names = ["a", "b"]\npalette = [[1, 2, 3], [1, 2, 3]]\nencoding = "color"',
            r"\[1, 2, 3\] stands for two",
        ),
    ],
)
def test_read_label_file_refuses_by_name(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read_label_file(_write(tmp_path, text))
    assert "labels.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_class_names_refuses_keys_of_mask_files(tmp_path):
    assert read_class_names(_write(tmp_path, 'names = ["sky"]')).names == ("sky",)
    with pytest.raises(DataError, match=r"labels\.toml describes mask files.*keep only names and palette"):
        read_class_names(_write(tmp_path, 'names = ["sky"]\nignore_index = 9'))


@pytest.mark.parametrize(
    "mask",
    [
        np.array([[0, 1, 2, 255]], dtype=np.uint8),
        np.array([[0, 255]], dtype=np.uint8),
        np.array([[[0, 0, 0], [0, 0, 9], [200, 100, 50]]], dtype=np.uint8),
        np.array([[255, 255]], dtype=np.uint8),
    ],
)
def test_a_proposal_reads_the_masks_it_was_made_for(tmp_path, mask):
    Image.fromarray(mask).save(tmp_path / "a.png")
    label_file = read_label_file(_write(tmp_path, propose(tmp_path).replace(" ; ", "\n")))
    labels = label_file.mask_encoding.read(tmp_path / "a.png")
    assert set(np.unique(labels)) <= {*range(label_file.label_set.num_classes), 255}


def test_a_proposal_for_countless_colors_is_short(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(
        tmp_path / "a.png"
    )
    assert len(propose(tmp_path)) < 120


def test_a_proposal_for_binary_masks_keeps_both_classes(tmp_path):
    Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).save(tmp_path / "a.png")
    assert propose(tmp_path) == 'names = ["background", "object"] ; values = [0, 255]'
