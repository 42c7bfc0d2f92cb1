import numpy as np
import pytest

from atrous.data.flow_scenes import (
    LARGEST_SHIFT,
    NUM_SCENES,
    RADII,
    RIM,
    SIDE,
    Disk,
    FlowScenes,
    Plan,
    draw_exact,
    draw_flow,
    draw_pair,
    occluded,
)
from atrous.data.quantity import FLOW
from atrous.models.compact import compact


def warped(image, flow):
    """What the image (h, w, 3) shows where the flow leads, between pixels bilinearly; NaN outside."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + flow[::-1]
    inside = (rows >= 0) & (rows <= SIDE - 1) & (columns >= 0) & (columns <= SIDE - 1)
    top, left = np.clip(rows, 0, SIDE - 2).astype(int), np.clip(columns, 0, SIDE - 2).astype(int)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper = (1 - right) * image[top, left] + right * image[top, left + 1]
    lower = (1 - right) * image[top + 1, left] + right * image[top + 1, left + 1]
    return np.where(inside[..., None], (1 - down) * upper + down * lower, np.nan)


def test_moved_by_whole_pixels_the_second_image_warped_is_the_first():
    disks = tuple(
        Disk(40.0 + 30 * n, 50.0 + 20 * n, 25.0, shift, (200, 120, 100), 9, 0.3 * n)
        for n, shift in enumerate([(2.0, -3.0), (-1.0, 1.0)])
    )
    plan = Plan((1.0, 2.0), disks, texture_seed=3)
    back = warped(draw_exact(plan, time=1), draw_flow(plan).astype(np.float64))
    # The outermost pixel of a disk is mixed with the ground behind it, which moves otherwise.
    whole = ~occluded(plan) & ~near_outlines(plan)
    np.testing.assert_allclose(back[whole], draw_exact(plan, time=0)[whole], atol=1e-9)
    assert whole.mean() > 0.8


@pytest.mark.parametrize("index", range(4))
def test_the_second_image_warped_by_the_flow_is_the_first_where_nothing_is_hidden(index):
    plan = FlowScenes("val").plan(index)
    back = warped(draw_exact(plan, time=1), draw_flow(plan).astype(np.float64))
    whole = ~occluded(plan) & ~near_outlines(plan)
    errors = np.abs(back - draw_exact(plan, time=0))[whole]
    assert errors.mean() < 0.5  # gray levels: what bilinear interpolation blurs of dots of 1.8 px
    unmoved = np.abs(draw_exact(plan, time=1) - draw_exact(plan, time=0))[whole]
    assert unmoved.mean() > 4 * errors.mean()
    assert whole.mean() > 0.75


def near_outlines(plan):
    """Pixels within 2 px of the outline of a disk, at either time."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    near = np.zeros((SIDE, SIDE), bool)
    for disk in plan.disks:
        near |= np.abs(np.hypot(rows - disk.row, columns - disk.column) - disk.radius) < 2
        for other in plan.disks:  # an outline that moves otherwise may pass over this one's face
            right, down = (other.shift[axis] - disk.shift[axis] for axis in (0, 1))
            distance = np.hypot(rows - other.row - down, columns - other.column - right)
            near |= np.abs(distance - other.radius) < 2
        right, down = (disk.shift[axis] - plan.shift[axis] for axis in (0, 1))
        near |= np.abs(np.hypot(rows - disk.row - down, columns - disk.column - right) - disk.radius) < 2
    return near


def test_flow_is_the_shift_of_what_is_on_top():
    plan = FlowScenes("train").plan(7)
    flow = draw_flow(plan)
    for row, column in np.random.default_rng(0).integers(0, SIDE, (200, 2)).tolist():
        on_top = [d for d in plan.disks if np.hypot(row - d.row, column - d.column) <= d.radius]
        expected = on_top[-1].shift if on_top else plan.shift
        np.testing.assert_allclose(flow[:, row, column], expected, rtol=1e-6)
    assert np.abs(flow).max() <= LARGEST_SHIFT


def test_pairs_are_the_same_every_time_and_grain_differs_between_the_images():
    first, second = FlowScenes("test")[2], FlowScenes("test")[2]
    assert np.array_equal(first.image, second.image)
    assert (first.image.shape, first.quantity) == ((SIDE, SIDE, 6), FLOW)
    still = Plan((0.0, 0.0), (), texture_seed=1)
    pair = draw_pair(still).astype(int)
    assert 0.5 < np.abs(pair[..., :3] - pair[..., 3:]).mean() < 4


def test_splits_share_no_layout():
    plans = [scenes.plan(n) for scenes in map(FlowScenes, NUM_SCENES) for n in range(len(scenes))]
    assert len({plan.disks for plan in plans}) == len(plans) == sum(NUM_SCENES.values())


def test_from_the_middle_of_the_largest_disks_the_front_end_alone_sees_no_rim():
    assert RADII[1] - 2 * RIM > compact(2, in_channels=6).receptive_field // 2
