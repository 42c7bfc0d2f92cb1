import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data.fingerprint import files_of, fingerprint
from atrous.data.labels import LabelSet
from atrous.data.open import open_dataset
from atrous.data.open_measured import open_measured
from atrous.data.order import in_order_of
from atrous.errors import DataError


def of(samples):
    job = fingerprint(samples)
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


def test_a_copy_elsewhere_has_the_same_fingerprint(tiny_data, tmp_path):
    copy = shutil.copytree(tiny_data, tmp_path / "elsewhere")
    first, second = (of(open_dataset(path, "train")) for path in (tiny_data, copy))
    assert first == second
    files = files_of(open_dataset(tiny_data, "train"))
    assert (first.num_samples, first.num_bytes) == (4, sum(path.stat().st_size for path in files))


def change_a_pixel(data: Path):
    path = data / "train/masks/train3.png"
    mask = np.array(Image.open(path))
    mask[40, 40] = (mask[40, 40] + 1) % 3
    Image.fromarray(mask).save(path)


def swap_two_images(data: Path):
    first, second = (data / f"train/images/train{number}.png" for number in (0, 1))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def rename_a_class(data: Path):
    labels = data / "labels.toml"
    labels.write_text(labels.read_text().replace("wall", "fence"))


def remove_a_pair(data: Path):
    for folder in ("images", "masks"):
        (data / "train" / folder / "train3.png").unlink()


@pytest.mark.parametrize("change", [change_a_pixel, swap_two_images, rename_a_class, remove_a_pair])
def test_any_change_gives_another_fingerprint(tiny_data, change):
    before = of(open_dataset(tiny_data, "train"))
    change(tiny_data)
    assert of(open_dataset(tiny_data, "train")) != before


def test_the_order_of_classes_in_the_weights_changes_nothing(tiny_data):
    samples = open_dataset(tiny_data, "train")
    reordered = in_order_of(samples, LabelSet(("sky", "ground", "wall")))
    assert of(reordered) == of(samples)
    assert files_of(reordered) == files_of(samples)


@pytest.mark.parametrize("name", ["builtin:scenes", "builtin:cues-24"])
def test_built_in_data_are_told_apart_by_their_values(name):
    train, val = (of(open_dataset(Path(name), split)) for split in ("train", "val"))
    assert train == of(open_dataset(Path(name), "train"))
    assert train.sha256 != val.sha256
    assert train.num_bytes == 0


def test_measured_data_have_fingerprints():
    assert (
        of(open_measured(Path("builtin:depth"), "val")).sha256
        != of(open_measured(Path("builtin:flow"), "val")).sha256
    )


def test_a_missing_file_is_named(tiny_data):
    samples = open_dataset(tiny_data, "train")
    (tiny_data / "train/images/train2.png").unlink()
    with pytest.raises(DataError, match=r"train2\.png cannot be read"):
        of(samples)
