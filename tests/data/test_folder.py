import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from atrous.data.encoding import IndexEncoding
from atrous.data.folder import (
    Dataset,
    FileMask,
    MaskSource,
    Pair,
    find_folder_splits,
    open_folder,
    pair_files,
)
from atrous.data.labels import LabelSet
from atrous.errors import DataError


@pytest.fixture
def root(tmp_path):
    """Three images of 8 x 5 px in train, one in val, three classes, 9 ignored."""
    generator = np.random.default_rng(0)
    for split, names in (("train", "abc"), ("val", "d")):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "masks").mkdir()
        for name in names:
            image = generator.integers(0, 256, (5, 8, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / split / "images" / f"{name}.png")
            mask = generator.choice(np.array([0, 1, 2, 9], dtype=np.uint8), (5, 8))
            Image.fromarray(mask).save(tmp_path / split / "masks" / f"{name}.png")
    (tmp_path / "labels.toml").write_text('names = ["sky", "road", "car"]\nignore_index = 9\n')
    return tmp_path


def test_open_folder_reads_images_and_labels(root):
    dataset = open_folder(root, "train")
    assert dataset.label_set.names == ("sky", "road", "car")
    assert [pair.name for pair in dataset.pairs] == ["a", "b", "c"]
    sample = dataset[1]
    with Image.open(root / "train/images/b.png") as image, Image.open(root / "train/masks/b.png") as mask:
        np.testing.assert_array_equal(sample.image, np.asarray(image))
        np.testing.assert_array_equal(sample.labels, np.where(np.asarray(mask) == 9, 255, np.asarray(mask)))
    assert sample.name == "b"


def test_dataset_is_a_sequence(root):
    dataset = open_folder(root, "train")
    assert len(dataset) == 3
    assert [sample.name for sample in dataset] == ["a", "b", "c"]  # type: ignore[attr-defined]
    assert dataset[-1].name == "c"
    with pytest.raises(IndexError):
        dataset[3]


def test_dataset_survives_pickling(root):
    dataset = open_folder(root, "train")
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy == dataset
    np.testing.assert_array_equal(copy[2].labels, dataset[2].labels)


def test_dataset_reads_the_same_from_many_threads(root):
    dataset = open_folder(root, "train")
    expected = [dataset[index] for index in range(3)]
    barrier = threading.Barrier(8)

    def read(start):
        barrier.wait()
        return [dataset[(start + step) % 3] for step in range(30)]

    with ThreadPoolExecutor(8) as pool:
        for start, samples in enumerate(pool.map(read, range(8))):
            for step, sample in enumerate(samples):
                np.testing.assert_array_equal(sample.image, expected[(start + step) % 3].image)
                np.testing.assert_array_equal(sample.labels, expected[(start + step) % 3].labels)


def test_find_folder_splits_takes_folders_with_images_or_masks(root):
    (root / "notes").mkdir()
    (root / "test" / "images").mkdir(parents=True)
    assert find_folder_splits(root) == ("test", "train", "val")


def test_a_mask_may_have_another_ending_than_its_image(root):
    Image.new("RGB", (8, 5)).save(root / "val/images/d.png")
    (root / "val/images/d.png").rename(root / "val/images/d.JPG")
    assert open_folder(root, "val")[0].image.max() == 0


def test_a_missing_mask_is_named_when_it_is_read(root):
    (root / "train/masks/b.png").unlink()
    dataset = open_folder(root, "train")
    assert len(dataset) == 3
    with pytest.raises(DataError, match=r"images.b\.png has no mask: .*masks.b\.png is missing"):
        dataset[1]


def test_a_missing_image_is_named_when_it_is_read(root):
    (root / "train/images/b.png").unlink()
    with pytest.raises(DataError, match=r"masks.b\.png has no image: .*images.b\.png is missing"):
        open_folder(root, "train")[1]


def test_sizes_that_differ_are_named(root):
    Image.new("L", (9, 5)).save(root / "train/masks/a.png")
    with pytest.raises(DataError, match=r"a\.png is 8 x 5 px and its mask .*a\.png 9 x 5 px"):
        open_folder(root, "train")[0]


def test_a_value_of_no_class_is_named_with_its_file(root):
    Image.new("L", (8, 5), 4).save(root / "train/masks/a.png")
    with pytest.raises(DataError, match=r"masks.a\.png holds 4, but the classes are 0-2 and 9 is ignored"):
        open_folder(root, "train")[0]


def test_names_that_never_match_are_refused_with_an_example(root):
    for path in (root / "train/masks").iterdir():
        path.rename(path.with_stem(path.stem + "_mask"))
    with pytest.raises(DataError, match=r"the mask of a\.png is expected as a\.png"):
        open_folder(root, "train")


def test_two_images_of_one_stem_are_refused(root):
    Image.new("RGB", (8, 5)).save(root / "train/images/b.jpg")
    with pytest.raises(DataError, match=r"b\.png and b\.jpg have the same stem"):
        open_folder(root, "train")


@pytest.mark.parametrize("missing", ["images", "masks"])
def test_a_missing_folder_is_named(root, missing):
    (root / "val" / missing).rename(root / "elsewhere")
    with pytest.raises(DataError, match=f"val.{missing} is missing"):
        open_folder(root, "val")


def test_a_folder_without_images_is_refused(root):
    (root / "val/images/d.png").unlink()
    with pytest.raises(DataError, match=r"val.images holds no images"):
        open_folder(root, "val")


def test_without_labels_toml_its_content_is_proposed(root):
    (root / "labels.toml").unlink()
    with pytest.raises(
        DataError, match=r'labels\.toml is missing.*names = \["class 0", "class 1", .*"class 9"\]'
    ):
        open_folder(root, "train")


def test_two_pairs_of_one_name_are_refused(tmp_path):
    mask = FileMask(tmp_path / "a.png", IndexEncoding((0,)))
    with pytest.raises(DataError, match="two images are named a"):
        Dataset(
            LabelSet(("sky",)), (Pair("a", tmp_path / "a.png", mask), Pair("a", tmp_path / "a.jpg", mask))
        )


def test_pair_files_strips_the_ending_of_masks(root):
    for path in (root / "train/masks").iterdir():
        path.rename(path.with_stem(path.stem + "_L"))
    pairs = pair_files(root / "train/images", root / "train/masks", IndexEncoding((0,)), ending="_L")
    assert [pair.mask_path.name for pair in pairs] == ["a_L.png", "b_L.png", "c_L.png"]
    assert all(isinstance(pair.mask, MaskSource) for pair in pairs)
