"""Pictures of coverage: white exactly where nothing is read, in the right place, in one scale."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from atrous.figures.coverage import draw_coverage
from atrous.geometry.coverage import coverage
from atrous.geometry.graph import Layer
from atrous.geometry.gridding import find_gridding

GRIDDED, DENSE = [(2, 2), (4, 4), (8, 8)], [(1, 1), (2, 2), (4, 4)]
UNEQUAL = [Layer((2, 3, 3), dilation=(1, 2, 3)), Layer((2, 2, 3), dilation=(3, 2, 1))]


def panels_of(figure):
    """The part of the figure that each coverage is drawn in."""
    body, _ = figure.subfigs
    return body.subfigs


def maps_of(panel):
    """Colors of every map, and what its axes say."""
    return [
        (np.asarray(axes.images[0].get_array()), axes.images[0].get_extent())
        for axes in panel.axes
        if axes.images
    ]


def is_white(colors):
    return (colors == 1).all(axis=-1)


def test_map_is_white_exactly_where_nothing_is_read():
    seen = coverage([(4, 1), (9, 2)])
    (panel,) = panels_of(draw_coverage({"tall": seen}))
    ((colors, extent),) = maps_of(panel)
    np.testing.assert_array_equal(is_white(colors), ~seen.seen)
    rows, columns = seen.seen.shape
    left, right, bottom, top = extent
    assert (left, top) == (seen.start[1] - 0.5, seen.start[0] - 0.5)
    assert (right - left, bottom - top) == (columns, rows)


def test_slices_of_a_volume_lie_as_their_axes_say():
    seen = coverage(UNEQUAL)
    (panel,) = panels_of(draw_coverage({"volume": seen}))
    middle = [size // 2 for size in seen.seen.shape]
    expected = [seen.seen[middle[0]], seen.seen[:, middle[1]].T, seen.seen[:, :, middle[2]]]
    labels = [axes.get_ylabel() for axes in panel.axes if axes.images]
    assert labels == ["row, voxels", "column, voxels", "slice, voxels"]
    for (colors, _), plane in zip(maps_of(panel), expected, strict=True):
        np.testing.assert_array_equal(is_white(colors), ~plane)


def bars_of(axes):
    """Heights of the hatched bars, and of those that say how often a position is read."""
    return [patch.get_data().values for patch in axes.patches]


def test_bars_are_paths_and_hatched_where_there_are_none():
    seen = coverage([1, 2, 9])
    (panel,) = panels_of(draw_coverage({"1, 2, 9": seen}))
    (axes,) = panel.axes
    hatched, times = bars_of(axes)
    np.testing.assert_allclose(times, seen.density * 25)
    np.testing.assert_array_equal(hatched > 0, ~seen.seen)
    assert hatched.max() == axes.get_ylim()[1]


def test_profiles_stand_beside_their_axes():
    seen = coverage([(4, 1), (9, 2)])
    (panel,) = panels_of(draw_coverage({"tall": seen}))
    (axes,) = panel.axes
    above, beside = axes.child_axes
    np.testing.assert_allclose(bars_of(above)[1], seen.axis(1).density * 7)
    np.testing.assert_allclose(bars_of(beside)[1], seen.axis(0).density * 27)
    assert above.get_xlim() == axes.get_xlim()
    assert beside.get_ylim() == axes.get_ylim()


def test_panels_share_one_scale():
    one, other = coverage(GRIDDED), coverage(DENSE)
    together = panels_of(draw_coverage({"one": one, "other": other}))
    ((colors, _),) = maps_of(together[0])
    ((others, _),) = maps_of(together[1])
    ((alone, _),) = maps_of(panels_of(draw_coverage({"other": other}))[0])
    brightest = lambda colors: colors[~is_white(colors)].sum(axis=-1).max()  # noqa: E731
    assert brightest(colors) > brightest(others)  # few positions share all paths
    assert brightest(alone) > brightest(others)


def test_a_field_read_evenly_can_be_drawn():
    ((colors, _),) = maps_of(panels_of(draw_coverage({"one layer": coverage([(1, 1)])}))[0])
    assert not is_white(colors).any()


def test_caption_counts_holes_and_names_their_layer():
    figure = draw_coverage(
        {"gridded": coverage(GRIDDED), "dense": coverage([(1, 1)])},
        causes={"gridded": find_gridding(GRIDDED)},
    )
    gridded, dense = (" ".join(panel.get_supxlabel().split()) for panel in panels_of(figure))
    assert gridded.startswith('225 of 841 read (26.8%), 616 holes One output of "layer3"')
    assert 'The holes come from "layer1"' in gridded
    assert dense == "all 9 read, no holes"


def test_a_cause_inside_the_network_is_told_from_holes_at_the_input():
    figure = draw_coverage({"dense": coverage(DENSE)}, causes={"dense": find_gridding(DENSE)})
    assert "no holes\nInside the network:" in panels_of(figure)[0].get_supxlabel()


def test_title_names_the_worst():
    both = draw_coverage({"gridded": coverage(GRIDDED), "dense": coverage(DENSE)}).get_suptitle()
    finding = 'Holes: one output of "gridded" reads 26.8% of its field, of "dense" all of it'
    assert " ".join(both.split()) == finding
    assert draw_coverage({"dense": coverage(DENSE)}).get_suptitle().startswith("No holes")


@pytest.mark.parametrize(
    "networks",
    [[GRIDDED], [GRIDDED] * 5, [[2, 4, 8]] * 2, pytest.param([UNEQUAL] * 2, marks=pytest.mark.slow)],
)
def test_nothing_leaves_the_picture_or_covers_a_caption(networks):
    figure = draw_coverage({f"${number}$": coverage(network) for number, network in enumerate(networks)})
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for panel in panels_of(figure):
        boxes = [axes.get_tightbbox() or figure.bbox for axes in panel.axes]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
        lowest = min((box.y0 for box in boxes), default=figure.bbox.y1)
        captions = [text.get_window_extent() for text in panel.texts if "read" in text.get_text()]
        assert all(caption.y0 >= 0 and caption.y1 <= lowest for caption in captions)


def test_maps_side_by_side_align_whatever_their_captions():
    figure = draw_coverage(
        {"gridded": coverage(GRIDDED), "other": coverage(GRIDDED)}, causes={"gridded": find_gridding(GRIDDED)}
    )
    FigureCanvasAgg(figure).draw()
    one, other = (panel.axes[0].get_window_extent() for panel in panels_of(figure))
    assert abs(one.y0 - other.y0) < 5  # px of about 600
    assert abs(one.y1 - other.y1) < 5
