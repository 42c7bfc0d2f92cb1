import dataclasses

import numpy as np
import pytest
import torch

from atrous.geometry.effective import influence
from atrous.inference.margin import Margined
from atrous.inference.predictor import Predictor
from atrous.models.catalog import build_network
from atrous.web.labeler import Labeled, Labeler
from atrous.web.limits import Limits
from atrous.web.refusals import RefusedError
from atrous.web.sight import LEAST, Looker
from web.serving import noise, small_predictor

QUICK, SLOW = 1e-9, 1.0  # seconds a pixel that a network claims to take

pytestmark = pytest.mark.slow


def labeled_by(predictor: Predictor, size: tuple[int, int], *, pace: float) -> Labeled:
    labeler = Labeler(predictor, network="compact", limits=Limits())
    return dataclasses.replace(labeler.label_pixels(noise(*size)), pace=pace)


def whole_mass(predictor: Predictor, labeled: Labeled, cell: tuple[int, int], channel: int) -> np.ndarray:
    """The definition: the gradient of the whole image, of which the margin is cut off."""
    margin, (height, width) = predictor.network.margin, labeled.size
    margined = Margined(predictor.network, labeled.size, torch.device("cpu")).whole(labeled.prediction.image)
    mass = influence(predictor.network, margined, cell=cell, channel=channel)
    inside = mass[margin : margin + height, margin : margin + width]
    return inside / inside.sum()


def placed(sight, size: tuple[int, int]) -> np.ndarray:
    whole = np.zeros(size)
    height, width = sight.mass.shape
    whole[sight.top : sight.top + height, sight.left : sight.left + width] = sight.mass
    return whole


@pytest.mark.parametrize(("row", "column"), [(0, 0), (100, 150), (239, 319), (130, 3)])
def test_the_window_of_a_click_has_the_gradient_of_the_whole_image(row, column):
    predictor = small_predictor()
    labeled = labeled_by(predictor, (240, 320), pace=QUICK)
    looker = Looker(predictor)
    cell = looker.cell(labeled, row, column)
    sight = looker.look(labeled, cell, channel=1)
    assert sight.is_whole
    assert sight.mass.size < 240 * 320
    expected = whole_mass(predictor, labeled, cell, 1)
    np.testing.assert_allclose(placed(sight, (240, 320)), expected, atol=1e-6 * expected.max())


def test_a_network_with_a_margin_is_looked_at_in_the_same_way():
    torch.manual_seed(0)
    predictor = Predictor(build_network("unet_valid", num_classes=2), device="cpu")
    assert predictor.network.margin > 0
    labeled = labeled_by(predictor, (120, 150), pace=QUICK)
    looker = Looker(predictor)
    cell = looker.cell(labeled, 40, 90)
    expected = whole_mass(predictor, labeled, cell, 0)
    np.testing.assert_allclose(
        placed(looker.look(labeled, cell, channel=0), (120, 150)), expected, atol=1e-6 * expected.max()
    )


def test_the_box_holds_all_that_moves_a_decision():
    predictor = small_predictor()
    labeled = labeled_by(predictor, (240, 320), pace=QUICK)
    looker = Looker(predictor)
    cell = looker.cell(labeled, 120, 160)
    box = looker.box(cell)
    assert box is not None
    (top, bottom), (left, right) = box
    rows, columns = np.nonzero(whole_mass(predictor, labeled, cell, 0))
    assert top <= rows.min() <= rows.max() <= bottom
    assert left <= columns.min() <= columns.max() <= right
    size = predictor.network.geometry.receptive_field
    assert (bottom - top + 1, right - left + 1) == (size, size)


def test_a_slow_network_is_looked_at_in_a_smaller_window():
    predictor = small_predictor()
    labeled = labeled_by(predictor, (240, 320), pace=SLOW)
    sight = Looker(predictor).look(labeled, (30, 40), channel=0)
    assert max(sight.window) <= LEAST + 32
    assert sight.is_whole == (predictor.network.geometry.receptive_field <= LEAST)


def test_a_network_whose_window_cannot_be_cut_says_how_long_it_would_take():
    torch.manual_seed(0)
    predictor = Predictor(build_network("unet_valid", num_classes=2), device="cpu")
    labeled = labeled_by(predictor, (60, 60), pace=SLOW)
    with pytest.raises(RefusedError, match="would take"):
        Looker(predictor).look(labeled, (5, 5), channel=0)


def test_the_outputs_at_a_pixel_are_those_of_the_map():
    predictor = small_predictor()
    labeled = labeled_by(predictor, (50, 70), pace=QUICK)
    expected = labeled.prediction.probabilities()
    for row, column in ((0, 0), (49, 69), (17, 31), (20, 69), (3, 4)):
        found = labeled.outputs_at(row, column).numpy()
        np.testing.assert_allclose(found, expected[:, row, column], rtol=1e-5, atol=1e-7)
