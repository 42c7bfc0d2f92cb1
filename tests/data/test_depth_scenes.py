from pathlib import Path

import numpy as np
import pytest

from atrous.data.depth_scenes import (
    BOARD_SIDES,
    FARTHEST,
    FOCAL,
    HEIGHT,
    NUM_SCENES,
    PATH,
    SIDE,
    DepthScenes,
    draw_depth,
)
from atrous.data.open import splits
from atrous.data.open_measured import open_measured
from atrous.data.quantity import DEPTH, MeasuredSamples
from atrous.errors import DataError
from atrous.models.compact import compact


def depth_by_rays(plan, row, column):
    """Depth at a pixel: the nearest thing that the ray through its middle meets, in meters."""
    hits = []
    slope = (row - plan.horizon) / FOCAL  # down, per meter ahead
    if slope > 0 and HEIGHT / slope <= FARTHEST:
        hits.append(HEIGHT / slope)
    for board in plan.boards:
        distance = FOCAL * HEIGHT / (board.foot - plan.horizon)
        lowest, left = HEIGHT, (board.left - SIDE / 2) * distance / FOCAL  # m: it stands on the ground
        height, width = board.height * distance / FOCAL, board.width * distance / FOCAL
        down, right = slope * distance, (column - SIDE / 2) * distance / FOCAL
        if lowest - height < down <= lowest * (1 + 1e-12) and left <= right < left + width:
            hits.append(distance)
    return min(hits, default=np.nan)


def test_depth_is_that_of_the_nearest_thing_a_ray_meets():
    plan = DepthScenes("val").plan(3)
    depth = draw_depth(plan)[0]
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, SIDE, (400, 2))
    expected = [depth_by_rays(plan, row, column) for row, column in pixels.tolist()]
    np.testing.assert_allclose(depth[tuple(pixels.T)], expected, rtol=1e-5)
    assert 0.1 < np.isnan(expected).mean() < 0.5


def test_scenes_are_the_same_every_time_and_others_with_another_seed():
    first, second, other = DepthScenes("val")[5], DepthScenes("val")[5], DepthScenes("val", seed=1)[5]
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.values, second.values, equal_nan=True)
    assert not np.array_equal(first.values, other.values, equal_nan=True)


def test_splits_share_no_layout():
    plans = [scenes.plan(n) for scenes in map(DepthScenes, NUM_SCENES) for n in range(len(scenes))]
    assert len({plan.boards for plan in plans}) == len(plans) == sum(NUM_SCENES.values())


def test_a_board_is_higher_than_the_front_end_alone_sees():
    network = compact(1)
    assert BOARD_SIDES[0] > network.receptive_field // 2 + network.output_stride
    assert BOARD_SIDES[1] > 1.5 * network.receptive_field


def test_a_board_looks_the_same_whatever_its_depth():
    """Sizes, colors and textures are drawn without a look at the distance."""
    boards = [
        (FOCAL * HEIGHT / (board.foot - plan.horizon), board.height, board.width)
        for plan in (DepthScenes("train").plan(n) for n in range(len(DepthScenes("train"))))
        for board in plan.boards
    ]
    distance, height, width = np.array(boards).T
    for size in (height, width):
        assert abs(np.corrcoef(np.log(distance), size)[0, 1]) < 0.1  # 3 sigma of over 1000 boards


def test_scenes_are_opened_by_their_name():
    scenes = open_measured(Path(PATH), "test")
    assert isinstance(scenes, MeasuredSamples)
    assert (scenes.quantity, scenes.label_set.names, len(scenes)) == (DEPTH, ("depth",), 96)
    assert splits(Path(PATH)) == ("train", "val", "test")
    with pytest.raises(DataError, match=r'no split "vall"; did you mean "val"'):
        open_measured(Path(PATH), "vall")
    with pytest.raises(IndexError, match=r"scene 96 of 96"):
        scenes[96]
