import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.flow_scenes import FlowScenes
from atrous.data.measured_crops import taken, zoomed
from atrous.data.quantity import DEPTH, FLOW, Measured
from atrous.data.transforms import Augmentation, augment


def test_zoomed_depth_stays_and_is_of_the_nearest_pixel():
    depth = np.array([[[1, 2], [3, np.nan]]], np.float32)
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, np.nan, np.nan], [3, 3, np.nan, np.nan]]
    np.testing.assert_array_equal(zoomed(depth, (4, 4), DEPTH)[0], expected)


def test_zoomed_flow_grows_with_each_side():
    flow = np.ones((2, 4, 5), np.float32)
    large = zoomed(flow, (8, 15), FLOW)
    assert large.shape == (2, 8, 15)
    np.testing.assert_array_equal(large[0], 3)  # u, by the width
    np.testing.assert_array_equal(large[1], 2)  # v, by the height


def test_mirrored_flow_changes_the_sign_of_u_alone_and_depth_none():
    values = np.arange(8, dtype=np.float32).reshape(2, 2, 2) + 1
    rows, columns = np.arange(2), np.arange(2)[::-1]
    mirrored = taken(values, rows, columns, FLOW)
    np.testing.assert_array_equal(mirrored[0], -values[0, :, ::-1])
    np.testing.assert_array_equal(mirrored[1], values[1, :, ::-1])
    np.testing.assert_array_equal(taken(values[:1], rows, columns, DEPTH), values[:1, :, ::-1])


def test_beyond_the_image_nothing_is_measured():
    values = np.ones((1, 2, 3), np.float32)
    crop = taken(values, np.arange(-1, 3), np.arange(-2, 4), DEPTH)
    expected = np.full((4, 6), np.nan)
    expected[1:3, 2:5] = 1
    np.testing.assert_array_equal(crop[0], expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.0, 2.0]))
def test_an_augmented_flow_leads_from_the_first_crop_to_the_second(seed, factor):
    """A blob that moves by the flow: its middle in both crops differs by the flow of the crop."""
    sample = moving_blob(np.random.default_rng(seed))
    augmentation = Augmentation(crop_size=(int(80 * factor), int(96 * factor)), scale=(factor, factor))
    crop = augment(sample, augmentation, np.random.default_rng(seed))
    middles = [middle_of(crop.image[channel]) for channel in (0, 3)]
    row, column = (round(value) for value in middles[0])
    (down, right) = np.subtract(middles[1], middles[0])
    np.testing.assert_allclose(crop.labels[:, row, column], [right, down], atol=0.15)


def moving_blob(generator):
    right, down = generator.integers(-6, 7, 2).tolist()
    rows, columns = np.mgrid[:80, :96].astype(float)
    blobs = [
        200 * np.exp(-0.5 * ((rows - 40 - y) ** 2 + (columns - 48 - x) ** 2) / 16)
        for x, y in ((0, 0), (right, down))
    ]
    image = np.repeat(np.stack(blobs, axis=-1), 3, axis=2).round().astype(np.uint8)
    flow = np.broadcast_to(np.array([right, down], np.float32)[:, None, None], (2, 80, 96)).copy()
    return Measured("blob", image, flow, FLOW)


def middle_of(channel):
    weights = channel.astype(float)
    rows, columns = np.indices(channel.shape)
    return (rows * weights).sum() / weights.sum(), (columns * weights).sum() / weights.sum()


def test_colors_change_alike_in_both_images():
    sample = FlowScenes("train")[0]
    same = Measured("still", np.concatenate([sample.image[..., :3]] * 2, axis=2), sample.values, FLOW)
    crop = augment(same, Augmentation((64, 64), color=0.5), np.random.default_rng(1))
    assert np.array_equal(crop.image[:3], crop.image[3:])
