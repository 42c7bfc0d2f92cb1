"""The authors' tiles against a slow rendering of their rules in numpy; only the network itself is torch."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from atrous.errors import ConfigError
from atrous.inference.predictor import Predictor
from atrous.inference.released import Tile, plan_tiles, refuse_protocol
from atrous.inference.views import Views
from atrous.layers.upsample import BilinearUpsampling
from atrous.models.context import ContextModule
from atrous.models.contract import DenseNetwork, LogitGeometry, Normalization
from atrous.models.dilated_net import DilatedNet
from inference.networks import narrow_front_end

NUM_CLASSES = 3
RELEASED_TILES = [(852, 1640), (900, 1100), (900, 900), (1396, 1396)]


class Small(DenseNetwork):
    """An unpadded front end that sees 18 x 18 px at stride 2, with a margin of 8."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.normalization = Normalization((100.0, 110.0, 120.0), channels="BGR")
        self.geometry = LogitGeometry(output_stride=2, center=0.5, receptive_field=18, margin=8)
        self.layers = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(3, num_classes, 9))
        nn.init.normal_(self.get_parameter("layers.1.weight"), 0.0, 0.003)

    def forward(self, images):
        return self.layers(images)

    def class_layers(self):
        return ()

    def new_layers(self):
        return ("layers.",)


def build(front_end, *, tile_size, context=True, factor=0):
    """A front end, with a context module that sees 7 x 7 cells, upsampled or not, and tiles of its own."""
    torch.manual_seed(0)
    network = front_end(NUM_CLASSES)
    if context:
        network = DilatedNet(
            front_end=network,
            context=ContextModule(NUM_CLASSES, dilations=(1, 2), noise=0.2),
            upsampling=BilinearUpsampling(NUM_CLASSES, factor=factor) if factor else None,
        )
    network.tile_size = tile_size
    return network.eval()


def picture(height, width):
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


def softmax(logits):
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)


def released_by_hand(network, image):
    """Probabilities (k, h, w) by the rules of the authors' script, in their order."""
    margin, (height, width) = network.margin, network.tile_size
    pixels = image[..., ::-1].astype(np.float32) - np.float32(network.normalization.mean)
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    rows = []
    for top in range(0, image.shape[0], height - 2 * margin):
        row = []
        for left in range(0, image.shape[1], width - 2 * margin):
            tile = padded[top : top + height, left : left + width]
            missing = (0, height - tile.shape[0]), (0, width - tile.shape[1]), (0, 0)
            tile = np.pad(tile, missing, mode="reflect")
            with torch.no_grad():
                logits = network(torch.from_numpy(tile.transpose(2, 0, 1)[None].copy()))
            row.append(softmax(logits[0].double().numpy()))
        rows.append(np.concatenate(row, axis=2))
    cells = np.concatenate(rows, axis=1)
    return zoomed_by_hand(cells, image.shape[:2], network.output_stride)


def zoomed_by_hand(cells, size, zoom):
    """The four cells around every pixel's p / zoom, weighted; nothing is read past the last ones."""
    values = np.empty((len(cells), *size))
    for row, column in product(*map(range, size)):
        top, left = row // zoom, column // zoom
        bottom, right = min(top + 1, cells.shape[1] - 1), min(left + 1, cells.shape[2] - 1)
        y, x = row / zoom - top, column / zoom - left
        above = (1 - x) * cells[:, top, left] + x * cells[:, top, right]
        below = (1 - x) * cells[:, bottom, left] + x * cells[:, bottom, right]
        values[:, row, column] = (1 - y) * above + y * below
    return values


def predict_exactly(network, image):
    return Predictor(network, device="cpu")(image)


def predict_released(network, image):
    return Predictor(network, device="cpu", protocol="released")(image)


def assert_as_by_hand(network, image):
    expected = released_by_hand(network, image)
    prediction = predict_released(network, image)
    np.testing.assert_allclose(prediction.logits.exp().numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(prediction.probabilities(), expected, atol=1e-5)
    assert prediction.label_map.shape == image.shape[:2]
    second, first = np.sort(expected, axis=0)[-2:]
    clear = first - second > 1e-4
    assert np.array_equal(prediction.label_map[clear], expected.argmax(0)[clear])


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile_size=st.tuples(st.integers(18, 50), st.integers(18, 50)),
    factor=st.sampled_from([0, 2]),
)
@pytest.mark.slow
def test_released_protocol_is_its_rendering_in_numpy_for_any_image_and_tile(size, tile_size, factor):
    network = build(Small, factor=factor, tile_size=tile_size)
    assert_as_by_hand(network, picture(*size))


@pytest.mark.parametrize(
    ("size", "tile_size", "factor"),
    [
        ((40, 90), (436, 500), 0),  # less than one tile
        ((64, 128), (436, 500), 0),  # one tile
        ((65, 60), (436, 432), 0),  # a second row of one pixel; 7.5 cells a tile
        ((70, 130), (436, 432), 0),  # several, at half cells, as KITTI's 158.5
        ((70, 130), (436, 500), 8),  # several, upsampled by the network, as Cityscapes
        ((5, 3), (1000, 436), 8),  # a tile that goes on by its own reflection, back and forth
    ],
)
def test_released_protocol_is_its_rendering_in_numpy_at_the_released_geometry(size, tile_size, factor):
    network = build(narrow_front_end, factor=factor, tile_size=tile_size)
    image = picture(*size)
    assert_as_by_hand(network, image)
    assert predict_released(network, image).logits.exp().std(dim=(1, 2)).min() > 1e-3  # no flat picture


@settings(max_examples=300)
@given(
    size=st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    tile_size=st.one_of(
        st.sampled_from(RELEASED_TILES), st.tuples(st.integers(600, 2000), st.integers(600, 2000))
    ),
)
def test_plan_tiles_covers_every_pixel_once(size, tile_size):
    margin = 186
    tiles = plan_tiles(size, tile_size=tile_size, margin=margin)
    for axis, side in enumerate(size):
        inside = tile_size[axis] - 2 * margin
        starts = sorted({(tile.top, tile.left)[axis] for tile in tiles})
        labelled = [pixel for start in starts for pixel in range(start, min(start + inside, side))]
        assert labelled == list(range(side))
        for tile in tiles:
            start, length = ((tile.top, tile.height), (tile.left, tile.width))[axis]
            assert length == min(tile_size[axis], side + 2 * margin - start)
            assert length > 2 * margin
    order = [(tile.top, tile.left) for tile in tiles]
    assert order == sorted(set(order))
    assert len(tiles) == np.prod(
        [-(-side // (tile - 372)) for side, tile in zip(size, tile_size, strict=True)]
    )


def test_plan_tiles_of_the_published_data_sets():  # CamVid in full size, KITTI, VOC, Cityscapes
    numbers = {
        ((720, 960), (900, 1100)): 4,
        ((375, 1242), (852, 1640)): 1,
        ((375, 500), (900, 900)): 1,
        ((1024, 2048), (1396, 1396)): 2,
    }
    for (size, tile_size), number in numbers.items():
        assert len(plan_tiles(size, tile_size=tile_size, margin=186)) == number
    assert plan_tiles((1024, 2048), tile_size=(1396, 1396), margin=186) == (
        Tile(0, 0, 1396, 1396),
        Tile(0, 1024, 1396, 1396),
    )


@pytest.mark.parametrize("tile_size", [(372, 900), (900, 100)])
def test_plan_tiles_refuses_tiles_that_are_all_margin(tile_size):
    with pytest.raises(ConfigError, match=r"all margin; make both sides larger than 372 px"):
        plan_tiles((100, 100), tile_size=tile_size, margin=186)


def test_protocols_agree_where_one_tile_holds_the_image():
    network, image = build(Small, factor=2, tile_size=(40, 46)), picture(24, 30)
    exact = predict_exactly(network, image).probabilities()
    np.testing.assert_allclose(predict_released(network, image).probabilities(), exact, atol=1e-6)


def test_protocols_agree_on_the_cells_of_one_tile_but_not_on_the_pixels_between():
    network, image = build(Small, tile_size=(40, 46)), picture(24, 30)
    released = predict_released(network, image).probabilities()
    cells = Predictor(network, device="cpu").scores(image).softmax(0).numpy()
    np.testing.assert_allclose(released[:, ::2, ::2], cells, atol=1e-6)
    exact = predict_exactly(network, image).probabilities()
    assert np.abs(released - exact).max() > 0.01  # shifted by half a pixel


def test_protocols_agree_on_all_whole_cells_of_a_front_end():
    network, image = build(Small, context=False, tile_size=(28, 36)), picture(32, 50)
    cells = Predictor(network, device="cpu").scores(image).softmax(0).numpy()
    released = predict_released(network, image).probabilities()
    np.testing.assert_allclose(released[:, ::2, ::2], cells, atol=1e-6)


def test_a_context_module_sees_zeros_beyond_the_border_of_a_tile():
    network, image = build(Small, factor=2, tile_size=(40, 46)), picture(24, 60)  # 30 of the 60 columns
    difference = (
        predict_exactly(network, image).probabilities() - predict_released(network, image).probabilities()
    )
    difference = np.abs(difference).max(axis=(0, 1))
    assert difference[29] > 0.01
    assert difference[30] > 0.01
    assert difference[:22].max() < 1e-6  # 3 cells of the context, 1 of the upsampling
    assert difference[38:].max() < 1e-6


def test_probabilities_of_zero_do_no_harm():
    network, image = build(Small, context=False, tile_size=(24, 24)), picture(12, 20)
    with torch.no_grad():
        network.get_parameter("layers.1.weight").mul_(1000)
    prediction, expected = predict_released(network, image), released_by_hand(network, image)
    assert prediction.logits.isneginf().any()
    np.testing.assert_allclose(prediction.probabilities(), expected, atol=1e-4)
    assert np.array_equal(prediction.label_map, prediction.probabilities().argmax(0))


def test_released_protocol_in_bfloat16_is_close():
    network, image = build(Small, tile_size=(30, 30)), picture(20, 33)
    rough = Predictor(network, device="cpu", precision="bfloat16", protocol="released")(image)
    assert rough.logits.dtype == torch.float32
    difference = np.abs(rough.probabilities() - predict_released(network, image).probabilities())
    assert 0 < difference.max() < 0.05


@pytest.mark.parametrize("views", [Views((0.5, 1.0)), Views((2.0,)), Views(flip=True)], ids=str)
def test_released_protocol_refuses_several_views(views):
    network = build(Small, tile_size=(30, 30))
    with pytest.raises(ConfigError, match=r"sees an image once, as it is, .*; leave out scales and flip"):
        Predictor(network, device="cpu", protocol="released", views=views)


def test_released_protocol_refuses_a_network_without_tiles():
    with pytest.raises(ConfigError, match=r"not published with one.*dilation7_kitti.*dilation10_cityscapes"):
        Predictor(Small(NUM_CLASSES), device="cpu", protocol="released")


def test_a_protocol_that_is_unknown_is_refused():
    with pytest.raises(ConfigError, match='no protocol "caffe"; take "exact" or "released"'):
        refuse_protocol("caffe", Small(NUM_CLASSES), views=Views())
