"""Crops of volumes against numpy's padding and torch's interpolation."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from atrous.data.volume_transforms import VolumeAugmentation, augment_volume
from atrous.errors import ConfigError

SIZE = (9, 12, 7)
VALUES = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, SIZE).astype(np.uint8)


def crop(augmentation, *, seed=0, margin=0):
    return augment_volume(VALUES, LABELS, augmentation, np.random.default_rng(seed), margin=margin)


def test_a_whole_crop_without_augmentation_is_the_volume():
    made = crop(VolumeAugmentation(SIZE))
    np.testing.assert_array_equal(made.image[0], VALUES)
    np.testing.assert_array_equal(made.labels, LABELS)


def test_a_crop_lies_in_the_volume_and_its_labels_with_it():
    for seed in range(20):
        made = crop(VolumeAugmentation((4, 5, 6)), seed=seed)
        windows = np.lib.stride_tricks.sliding_window_view(VALUES, (4, 5, 6))
        ((x, y, z),) = np.argwhere((windows == made.image[0]).all((3, 4, 5)))
        np.testing.assert_array_equal(made.labels, LABELS[x : x + 4, y : y + 5, z : z + 6])


def test_beyond_the_volume_it_is_reflected_and_not_labelled():
    made = crop(VolumeAugmentation((9, 12, 11)), margin=2)
    padded = [
        np.pad(VALUES, ((2, 2), (2, 2), (6, 6)), "reflect")[..., start : start + 15] for start in range(5)
    ]
    (start,) = [start for start, values in enumerate(padded) if (values == made.image[0]).all()]
    before = 4 - start  # of ignored labels
    assert (made.labels[..., :before] == 255).all()
    np.testing.assert_array_equal(made.labels[..., before : before + 7], LABELS)
    assert (made.labels[..., before + 7 :] == 255).all()


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_a_zoom_is_linear_interpolation_and_nearest_labels(factor):
    sides = tuple(round(side * factor) for side in SIZE)
    made = crop(VolumeAugmentation(sides, scale=(factor, factor)))
    values = torch.from_numpy(VALUES)[None, None]
    truth = functional.interpolate(values, sides, mode="trilinear", align_corners=False)[0, 0].numpy()
    inside = tuple(slice(1, -1) for _ in sides)  # at the border torch repeats, and we reflect
    np.testing.assert_allclose(made.image[0][inside], truth[inside], atol=1e-5)
    labels = functional.interpolate(torch.from_numpy(LABELS)[None, None], sides, mode="nearest-exact")
    np.testing.assert_array_equal(made.labels, labels[0, 0].numpy())


def test_only_chosen_axes_are_flipped():
    seen = set()
    for seed in range(30):
        made = crop(VolumeAugmentation(SIZE, flips=(0, 2)), seed=seed)
        flips = [axes for axes in ((), (0,), (2,), (0, 2)) if (np.flip(VALUES, axes) == made.image[0]).all()]
        np.testing.assert_array_equal(np.flip(LABELS, flips[0]), made.labels)
        seen.add(flips[0])
    assert seen == {(), (0,), (2,), (0, 2)}


def test_contrast_is_a_scale_and_a_shift_within_its_strength():
    for seed in range(10):
        made = crop(VolumeAugmentation(SIZE, contrast=0.3), seed=seed)
        scale, shift = np.polyfit(VALUES.ravel(), made.image.ravel(), 1)
        assert 0.7 <= scale <= 1.3
        assert abs(shift) <= 0.3
        np.testing.assert_allclose(VALUES * scale + shift, made.image[0], atol=1e-4)


def test_the_same_state_gives_the_same_crop():
    augmentation = VolumeAugmentation((5, 5, 5), scale=(0.8, 1.2), flips=(1,), contrast=0.2)
    assert (crop(augmentation, seed=4).image == crop(augmentation, seed=4).image).all()
    assert (crop(augmentation, seed=4).image != crop(augmentation, seed=5).image).any()


@pytest.mark.parametrize(
    "wrong",
    [{"crop_size": (0, 1, 1)}, {"scale": (1.2, 0.8)}, {"flips": (3,)}, {"contrast": 2.0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="must"):
        VolumeAugmentation(**{"crop_size": (4, 4, 4)} | wrong)
