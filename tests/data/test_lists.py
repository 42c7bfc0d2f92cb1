import numpy as np
import pytest
from PIL import Image

from atrous.data.lists import find_list_splits, open_lists
from atrous.errors import DataError


@pytest.fixture
def root(tmp_path):
    """Images that share a stem in two folders; one folder has a space in its name."""
    for folder, level in (("day one", 10), ("night", 20)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (4, 3), (level,) * 3).save(tmp_path / folder / "a.png")
        Image.new("L", (4, 3), level // 10 - 1).save(tmp_path / folder / "a_mask.png")
    (tmp_path / "labels.toml").write_text('names = ["light", "dark"]')
    (tmp_path / "train.txt").write_text(
        "# two\n\nday one/a.png\tday one/a_mask.png\nnight/a.png   night/a_mask.png\n"
    )
    return tmp_path


def test_open_lists_pairs_the_paths_of_a_line(root):
    dataset = open_lists(root, "train")
    assert [pair.name for pair in dataset.pairs] == ["day one/a", "night/a"]
    assert [dataset[index].image.max() for index in range(2)] == [10, 20]
    np.testing.assert_array_equal([dataset[index].labels.max() for index in range(2)], [0, 1])


def test_a_list_may_begin_with_a_byte_order_mark_and_end_lines_as_windows_does(root):
    (root / "val.txt").write_bytes(b"\xef\xbb\xbfnight/a.png night/a_mask.png\r\n")
    assert open_lists(root, "val")[0].name == "night/a"


def test_find_list_splits_leaves_out_other_texts(root):
    (root / "readme.txt").write_text("Images of two days.\n")
    (root / "empty.txt").write_text("\n# nothing\n")
    (root / "latin.txt").write_bytes(b"\xff\xfe")
    assert find_list_splits(root) == ("train",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("night/a.png", r"train\.txt line 2 has 1 paths"),
        ("day one/a.png day one/a_mask.png", r"line 2 has 4 paths.*a tab between"),
        ("day one/a.png\tnight/a_mask.png", "two images are named day one/a"),
    ],
)
def test_open_lists_refuses_a_line(root, line, message):
    (root / "train.txt").write_text(f"day one/a.png\tday one/a_mask.png\n{line}\n")
    with pytest.raises(DataError, match=message):
        open_lists(root, "train")


def test_a_listed_file_that_is_missing_is_named_when_it_is_read(root):
    (root / "night/a_mask.png").unlink()
    with pytest.raises(DataError, match=r"a\.png has no mask: .*a_mask\.png is missing"):
        open_lists(root, "train")[1]


def test_without_labels_toml_its_content_is_proposed(root):
    (root / "labels.toml").unlink()
    with pytest.raises(DataError, match=r"labels\.toml is missing.*names = "):
        open_lists(root, "train")
