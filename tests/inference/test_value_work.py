from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.data.depth_scenes import DepthScenes
from atrous.data.flo import read_flo
from atrous.data.flow_scenes import FlowScenes
from atrous.data.measured_file import read_values
from atrous.data.notes import read_note
from atrous.data.quantity import DEPTH, FLOW
from atrous.errors import ConfigError, DataError, ShapeError
from atrous.figures.value_colors import color_depth, color_flow
from atrous.inference.pipeline import predict_works
from atrous.inference.predictor import Predictor
from atrous.inference.value_work import ValueWork
from atrous.inference.views import Views
from atrous.models.compact import compact
from atrous.models.regressor import compact_regressor
from atrous.ops.resample import upsample_logits


@pytest.fixture(scope="module")
def depth_predictor():
    torch.manual_seed(0)
    return Predictor(compact_regressor(1), label_set=DEPTH, device="cpu")


@pytest.fixture(scope="module")
def flow_predictor():
    torch.manual_seed(0)
    return Predictor(compact(2, in_channels=6), label_set=FLOW, device="cpu")


def test_values_are_the_outputs_at_every_pixel_and_of_depth_their_exponential(depth_predictor):
    image = DepthScenes("val")[0].image[:50, :67]
    network = depth_predictor.network
    normalized = network.normalization.apply(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    with torch.no_grad():
        cells = network(normalized)
    outputs = upsample_logits(cells, (50, 67), stride=4, center=1.5)[0]
    values = depth_predictor(image).values
    np.testing.assert_allclose(values, outputs.exp(), rtol=1e-5)
    assert (values > 0).all()


def test_flow_has_the_outputs_as_values(flow_predictor):
    pair = FlowScenes("val")[0].image
    prediction = flow_predictor(pair)
    np.testing.assert_array_equal(prediction.values, prediction.logits)
    assert prediction.values.shape == (2, 128, 128)


def test_depth_is_written_with_its_colors(tmp_path, depth_predictor):
    image = DepthScenes("val")[1].image
    Image.fromarray(image).save(tmp_path / "in.png")
    work = ValueWork((tmp_path / "in.png",), tmp_path / "out.png", tmp_path / "out.tif", DEPTH, note="how")
    (outcome,) = predict_works([work], depth_predictor)
    values = depth_predictor(image).values
    assert outcome.error == ""  # type: ignore[union-attr]
    np.testing.assert_array_equal(read_values(work.values, DEPTH, scale=None), values)  # type: ignore[arg-type]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), color_depth(values[0]))
    assert read_note((tmp_path / "out.png").read_bytes()) == "how"


def test_flow_is_written_with_its_colors(tmp_path, flow_predictor):
    pair = FlowScenes("val")[1].image
    sources = tmp_path / "a.png", tmp_path / "b.png"
    for path, image in zip(sources, (pair[..., :3], pair[..., 3:]), strict=True):
        Image.fromarray(image).save(path)
    work = ValueWork(sources, tmp_path / "out.png", tmp_path / "out.flo", FLOW)
    (outcome,) = predict_works([work], flow_predictor)
    values = flow_predictor(pair).values
    assert outcome.error == ""  # type: ignore[union-attr]
    np.testing.assert_array_equal(read_flo(tmp_path / "out.flo"), values)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), color_flow(values))
    Image.fromarray(pair[:50, :, 3:]).save(sources[1])
    with pytest.raises(DataError, match=r"are 128 x 128 and 128 x 50 px .*give frames of one film"):
        work.read()


def test_large_images_go_in_parts(monkeypatch, flow_predictor):
    pair = FlowScenes("val")[2].image
    whole = flow_predictor(pair).values
    monkeypatch.setattr("atrous.inference.predictor.WHOLE_PIXELS", 1000)
    np.testing.assert_allclose(flow_predictor(pair).values, whole, atol=1e-5)


def test_values_and_labels_are_not_mistaken_for_each_other(depth_predictor, flow_predictor):
    prediction = depth_predictor(DepthScenes("val")[0].image)
    for ask in (lambda: prediction.label_map, prediction.probabilities, prediction.overlay):
        with pytest.raises(ConfigError, match=r"measures depth and gives no classes; take values"):
            ask()
    with pytest.raises(ConfigError, match=r"gives classes and measures nothing"):
        _ = replace(prediction, quantity=None).values
    with pytest.raises(ConfigError, match=r"flow has no labels"):
        next(flow_predictor.label_rows((10, 10), lambda _start, _stop: np.zeros((10, 10, 6), np.uint8)))
    with pytest.raises(ShapeError, match=r"sees 2 images at once; give them as one array \(h, w, 6\)"):
        flow_predictor("frame.png")
    with pytest.raises(ShapeError, match=r"uint8 RGB \(h, w, 6\), not uint8 \(9, 9, 3\)"):
        flow_predictor(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"a CRF, scales and flips are for classes, not depth"):
        Predictor(compact(1), label_set=DEPTH, device="cpu", views=Views(flip=True))
