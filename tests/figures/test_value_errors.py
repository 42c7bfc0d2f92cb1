import numpy as np
import pytest

from atrous.data.depth_scenes import DepthScenes
from atrous.data.flow_scenes import FlowScenes
from atrous.data.quantity import Measured
from atrous.figures.canvas import to_png
from atrous.figures.value_errors import draw_value_errors


@pytest.mark.parametrize("scenes", [DepthScenes("val"), FlowScenes("val")], ids=["depth", "flow"])
def test_a_row_a_sample_and_a_chart_a_channel(scenes):
    shown = [(scenes[index], np.nan_to_num(scenes[index].values, nan=3.0) * 1.5) for index in range(2)]
    figure = draw_value_errors(shown)
    charts = len(scenes.quantity.channels)
    assert len(figure.axes) == 2 * 4 + 1 + charts
    error = np.asarray(figure.axes[3].images[0].get_array())
    truth = shown[0][0].values
    expected = np.full(error.shape, 0.5) if charts == 1 else 0.5 * np.hypot(*truth)
    valid = np.isfinite(truth).all(0)
    np.testing.assert_allclose(error[valid], expected[valid], rtol=1e-4)
    assert np.isnan(error[~valid]).all()


def test_a_sample_without_a_measured_pixel_is_drawn():
    sample = DepthScenes("val")[0]
    empty = Measured("empty", sample.image, np.full_like(sample.values, np.nan), sample.quantity)
    figure = draw_value_errors([(empty, sample.values)])
    assert to_png(figure)
    measured, predicted = (np.asarray(figure.axes[column].images[0].get_array()) for column in (1, 2))
    assert not measured.any()
    assert len(np.unique(predicted)) > 20
