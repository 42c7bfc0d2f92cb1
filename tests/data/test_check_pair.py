"""Figures of a single pair, against the definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.check_pair import Measures, ignored_crop_share, inspect_pair
from atrous.data.folder import open_folder

SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(size=SIDES, crop_size=SIDES, seed=st.integers(0, 1000))
def test_ignored_crop_share_is_the_share_of_places_without_a_valid_pixel(size, crop_size, seed):
    generator = np.random.default_rng(seed)
    labels = np.where(generator.random(size) < 0.2, 1, 255).astype(np.uint8)
    rows, columns = (  # as `augment` draws them
        range(min(0, side - crop), max(0, side - crop) + 1)
        for side, crop in zip(size, crop_size, strict=True)
    )
    empty = [
        bool((labels[max(0, top) : top + crop_size[0], max(0, left) : left + crop_size[1]] == 255).all())
        for top in rows
        for left in columns
    ]
    assert np.isclose(ignored_crop_share(labels, crop_size), np.mean(empty))


def test_digests_are_of_pixels_and_size(folder):
    folder.write_image("train/images/b.png", seed=0, size=(5, 24))
    folder.write_mask("train/masks/b.png", (0, 1, 2), size=(5, 24))
    folder.write_image("train/images/c.png", seed=0, size=(10, 12))  # the same bytes in another size
    dataset = open_folder(folder.path, "train")
    first, again, other = (inspect_pair(dataset, index) for index in (1, 1, 2))
    assert isinstance(first, Measures)
    assert isinstance(again, Measures)
    assert isinstance(other, Measures)
    assert (first.image_digest, first.labels_digest) == (again.image_digest, again.labels_digest)
    assert first.image_digest != other.image_digest
    assert first.labels_digest != other.labels_digest
