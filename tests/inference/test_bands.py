"""An image seen by bands has the cells and labels of the whole one, from whichever row it begins."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.errors import ConfigError, GeometryError, ShapeError
from atrous.inference import bands as bands_module
from atrous.inference import predictor as predictor_module
from atrous.inference.bands import Bands, TiledImage
from atrous.inference.engines import build_engine
from atrous.inference.predictor import Predictor
from atrous.inference.prepared import prepared
from atrous.inference.views import Views
from atrous.models.catalog import build_network
from inference.networks import Resizing, SeesAll, Small, narrow_front_end

CPU = torch.device("cpu")


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def compact():
    torch.manual_seed(0)
    return build_network("compact", num_classes=3)


def bands_of(network, size, rows):
    made = Bands(network, prepared(network, dtype=torch.float32, device=CPU), size, device=CPU)
    made.rows = rows
    return made


@pytest.fixture(
    scope="module",
    params=[
        compact,
        Small,
        pytest.param(Resizing, marks=pytest.mark.slow),
        pytest.param(lambda: narrow_front_end(3), marks=pytest.mark.slow),
    ],
)
def network(request):
    return request.param().eval()


@given(data=st.data())
@settings(max_examples=8, deadline=None)
@pytest.mark.slow
def test_cells_from_any_row_on_are_those_of_the_whole(network, data):
    size = data.draw(st.integers(1, 90)), data.draw(st.sampled_from([31, 48]))
    image = picture(*size)
    whole = Predictor(network, device="cpu").scores(image)
    first = data.draw(st.integers(0, whole.shape[1] - 1))
    made = bands_of(network, size, rows=8 * data.draw(st.integers(1, 4)))
    cells = torch.cat(list(made.cells(lambda start, stop: image[start:stop], first=first)), 1)
    torch.testing.assert_close(cells, whole[:, first:], rtol=0, atol=2e-5 * float(whole.abs().max()))


@pytest.mark.slow
def test_rows_that_are_not_seen_are_not_read():
    network, image = compact(), picture(900, 20)
    made = bands_of(network, (900, 20), rows=16)
    read = []
    cells = list(made.cells(lambda start, stop: read.append(start) or image[start:stop], first=100))
    assert sum(piece.shape[1] for piece in cells) == -(-900 // network.output_stride) - 100
    radius = network.receptive_field // 2
    assert 100 * network.output_stride - radius - 64 < min(read) <= 100 * network.output_stride


def test_starting_a_cell_too_late_is_seen():
    network, image = compact(), picture(300, 40)
    whole = Predictor(network, device="cpu").scores(image)
    made = bands_of(network, (300, 40), rows=16)
    made._spoiled -= made._alignment // network.output_stride
    cells = torch.cat(list(made.cells(lambda start, stop: image[start:stop], first=20)), 1)
    assert (cells - whole[:, 20:]).abs().max() > 1e-3


@pytest.mark.slow
def test_bands_are_as_high_as_memory_allows(monkeypatch):
    network = compact()
    tall = Bands(network, prepared(network, dtype=torch.float32, device=CPU), (50, 64), device=CPU).rows
    monkeypatch.setattr(bands_module, "MEMORY", 1)
    low = Bands(network, prepared(network, dtype=torch.float32, device=CPU), (50, 64), device=CPU)
    assert low.rows == low._alignment < tall


@pytest.mark.slow
def test_a_large_image_has_the_labels_of_the_whole(monkeypatch):
    network, image = compact(), picture(150, 70)
    whole = Predictor(network, device="cpu")(image)
    monkeypatch.setattr(predictor_module, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(bands_module, "MEMORY", 1 << 18)
    predictor = Predictor(network, device="cpu")
    by_bands = predictor(image)
    torch.testing.assert_close(by_bands.scores, whole.scores, rtol=0, atol=1e-4)
    for start in (0, 1, 77, 149):
        rows = predictor.label_rows((150, 70), lambda low, high: image[low:high], start=start)
        assert np.array_equal(np.concatenate(list(rows)), by_bands.label_map[start:])


def test_bfloat16_by_bands_is_that_of_the_whole(monkeypatch):
    network, image = compact(), picture(150, 70)
    whole = Predictor(network, device="cpu", precision="bfloat16").scores(image)
    monkeypatch.setattr(predictor_module, "WHOLE_PIXELS", 1000)
    by_bands = Predictor(network, device="cpu", precision="bfloat16").scores(image)
    assert (by_bands - whole).abs().max() < 0.02 * whole.abs().max()  # kernels of other sizes round otherwise


def test_a_network_that_sees_everything_gets_large_images_whole(monkeypatch):
    network, image = SeesAll(), picture(80, 40)
    whole = Predictor(network, device="cpu").scores(image)
    monkeypatch.setattr(predictor_module, "WHOLE_PIXELS", 1000)
    predictor = Predictor(network, device="cpu")
    assert torch.equal(predictor.scores(image), whole)
    with pytest.raises(GeometryError, match="mean"):
        list(predictor.label_rows((80, 40), lambda low, high: image[low:high]))


@pytest.mark.parametrize(
    "build",
    [compact, lambda: build_network("compact_context", num_classes=3)],
)
@pytest.mark.slow
def test_an_engine_of_fixed_sizes_gets_exact_tiles(monkeypatch, tmp_path, build):
    pytest.importorskip("openvino")
    network, image = build(), picture(330, 250)
    whole = Predictor(network, device="cpu").scores(image)
    monkeypatch.setattr(predictor_module, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(bands_module, "TILE_MEMORY", 8 << 20)
    predictor = Predictor(network, device="cpu")
    predictor.engine = build_engine(
        network, engine="openvino", precision="float32", device=CPU, cache_folder=tmp_path
    )
    torch.testing.assert_close(predictor.scores(image), whole, rtol=0, atol=1e-4)
    parts = predictor._last_parts
    assert isinstance(parts, TiledImage)
    assert sum(plan.num_tiles for plan in parts._tiles.plan((330, 250))) > 1
    labels = predictor(image).label_map
    for start in (0, 200):
        rows = predictor.label_rows((330, 250), lambda low, high: image[low:high], start=start)
        assert np.array_equal(np.concatenate(list(rows)), labels[start:])


def test_label_rows_refuse_what_needs_the_whole_image():
    predictor = Predictor(compact(), device="cpu", views=Views(flip=True))
    with pytest.raises(ConfigError, match="whole image"):
        list(predictor.label_rows((80, 40), lambda low, high: picture(high - low, 40)))


@pytest.mark.parametrize(
    "given", [picture(3, 40), picture(80, 40).astype(np.float32), picture(80, 40)[..., :1]]
)
def test_label_rows_refuse_what_is_not_the_rows_asked_for(given):
    with pytest.raises(ShapeError, match=r"read\(0, 80\) gave"):
        list(Predictor(compact(), device="cpu").label_rows((80, 40), lambda *_: given))


def test_label_rows_refuse_a_row_that_is_not_there():
    with pytest.raises(ShapeError, match="no row 80"):
        list(Predictor(compact(), device="cpu").label_rows((80, 40), lambda *_: picture(8, 40), start=80))
