import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import save_checkpoint
from atrous.crf.dense_crf import DenseCRF
from atrous.data.images import read_image
from atrous.data.labels import LabelSet
from atrous.errors import CheckpointError, ConfigError, DataError, ShapeError
from atrous.inference.predictor import Predictor
from atrous.inference.views import Views
from atrous.models.catalog import to_checkpoint
from inference.by_hand import (
    Margined,
    assert_most_probable,
    cells_by_hand,
    compact_network,
    logits_by_hand,
    picture,
    probabilities_of_view,
    softmax,
)
from inference.networks import narrow_front_end


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (13, 7), (16, 24), (33, 2)])
@pytest.mark.parametrize("build", [compact_network, Margined])
def test_prediction_is_normalization_margin_network_upsampling(build, size):
    network, image = build(), picture(*size)
    prediction = Predictor(network, device="cpu")(image)
    expected = logits_by_hand(network, image)
    assert prediction.label_map.shape == size
    assert prediction.label_map.dtype == np.int64
    np.testing.assert_allclose(prediction.logits.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(prediction.probabilities(), softmax(expected), atol=1e-4)
    assert prediction.probabilities().dtype == np.float32
    assert_most_probable(prediction.label_map, softmax(expected))


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (40, 30)])
def test_the_released_margin_fits_images_smaller_than_itself(size):
    torch.manual_seed(0)
    network, image = narrow_front_end(2), picture(*size)
    prediction = Predictor(network, device="cpu")(image)
    np.testing.assert_allclose(
        prediction.logits.numpy(), logits_by_hand(network, image), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("build", [compact_network, Margined])
@pytest.mark.parametrize(("scales", "flip"), [((1.0,), True), ((0.5,), False), ((0.7, 1.0, 1.6), True)])
def test_flips_and_scales_are_averaged(build, scales, flip):
    network, image = build(), picture(14, 11)
    prediction = Predictor(network, device="cpu", views=Views(scales, flip))(image)
    expected = np.mean(
        [
            probabilities_of_view(network, image, scale, mirrored=mirrored)
            for scale in scales
            for mirrored in ((False, True) if flip else (False,))
        ],
        axis=0,
    )
    np.testing.assert_allclose(prediction.probabilities(), expected, atol=1e-4)
    assert_most_probable(prediction.label_map, expected)


@pytest.mark.parametrize("build", [compact_network, Margined])
@pytest.mark.parametrize(("size", "scale"), [((14, 40), 0.5), ((40, 27), 0.5), ((20, 9), 1.0)])
def test_larger_images_are_shrunk_to_the_longest_side(build, size, scale):
    network, image = build(), picture(*size)
    prediction = Predictor(network, device="cpu", views=Views(longest_side=20))(image)
    expected = probabilities_of_view(network, image, scale, mirrored=False)
    np.testing.assert_allclose(prediction.probabilities(), expected, atol=1e-4)
    assert_most_probable(prediction.label_map, expected)
    refined = Predictor(network, device="cpu", views=Views(longest_side=20), crf=DenseCRF(num_steps=0))
    np.testing.assert_allclose(refined(image).probabilities(), expected, atol=1e-4)


def test_a_checkpoint_says_to_what_side_images_are_shrunk_unless_told_otherwise(tmp_path):
    network, image, path = compact_network(), picture(14, 40), tmp_path / "model.safetensors"
    labels = LabelSet.unnamed(network.num_classes).to_dict()
    save_checkpoint(
        path, to_checkpoint(network, name="compact", labels=labels, progress={"longest_side": 20})
    )
    shrunk = probabilities_of_view(network, image, 0.5, mirrored=False)
    np.testing.assert_allclose(Predictor(path, device="cpu")(image).probabilities(), shrunk, atol=1e-4)
    told = Predictor(path, device="cpu", views=Views(longest_side=0))(image)
    np.testing.assert_array_equal(told.logits, Predictor(network, device="cpu")(image).logits)


@pytest.mark.parametrize("side", [-1, "20", 2.5, True, 10**400])
def test_a_checkpoint_with_an_impossible_side_is_refused(tmp_path, side):
    network, path = compact_network(), tmp_path / "model.safetensors"
    labels = LabelSet.unnamed(network.num_classes).to_dict()
    save_checkpoint(
        path, to_checkpoint(network, name="compact", labels=labels, progress={"longest_side": side})
    )
    with pytest.raises(CheckpointError, match="longest_side"):
        Predictor(path)


def test_a_tiny_scale_leaves_at_least_a_pixel():
    prediction = Predictor(compact_network(), device="cpu", views=Views((0.01,)))(picture(5, 9))
    assert prediction.label_map.shape == (5, 9)


def test_bfloat16_is_close_to_float32():
    network, image = compact_network(), picture(32, 40)
    exact = Predictor(network, device="cpu").__call__(image).probabilities()
    rough = Predictor(network, device="cpu", precision="bfloat16")(image)
    assert rough.logits.dtype == torch.float32
    difference = np.abs(rough.probabilities() - exact)
    assert 0 < difference.max() < 0.05


def test_scores_are_the_cells_of_the_network():
    network, image = Margined(), picture(9, 12)
    cells = Predictor(network, device="cpu").scores(image)
    assert cells.shape == (3, 5, 6)
    np.testing.assert_allclose(cells.numpy(), cells_by_hand(network, image), atol=1e-4)


def test_predicting_leaves_every_part_in_its_mode():
    network = Margined().train()
    network.drop.eval()
    image = picture(6, 6)
    predictor = Predictor(network, device="cpu")
    assert torch.equal(predictor(image).logits, predictor(image).logits)  # no dropout
    assert [part.training for part in (network, network.conv, network.drop)] == [True, True, False]


def test_a_checkpoint_predicts_as_its_network(tmp_path):
    network = compact_network()
    labels = LabelSet(("a", "b", "c"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, to_checkpoint(network, name="compact", labels=labels.to_dict(), progress={}))
    image = picture(20, 18)
    for source in (path, str(path)):
        predictor = Predictor(source, device="cpu")
        assert predictor.label_set == labels
        assert torch.equal(predictor(image).logits, Predictor(network, device="cpu")(image).logits)
    renamed = LabelSet(("x", "y", "z"))
    assert Predictor(path, label_set=renamed, device="cpu").label_set == renamed
    assert Predictor(network, device="cpu").label_set == LabelSet.unnamed(3)


def test_overlay_has_the_size_of_the_image_and_the_colors_of_the_labels():
    labels = LabelSet(("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
    prediction = Predictor(compact_network(), label_set=labels, device="cpu")(picture(9, 7))
    solid = prediction.overlay(opacity=1.0)
    assert solid.dtype == np.uint8
    assert np.array_equal(solid, np.array(labels.palette, np.uint8)[prediction.label_map])
    assert np.array_equal(prediction.overlay(opacity=0.0), prediction.image)


def save_modes(folder):
    """One small picture in every mode that cameras and programs write."""
    image = Image.fromarray(picture(10, 16))
    gray = np.random.default_rng(1).integers(0, 65536, (10, 16), np.uint16)
    rotated = Image.Exif()
    rotated[0x0112] = 6  # turn by 90 degrees when shown
    image.convert("L").save(folder / "gray.png")
    image.convert("RGBA").save(folder / "alpha.png")
    image.convert("P").save(folder / "palette.png")
    Image.fromarray(gray).save(folder / "deep.png")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.save(folder / "turned.jpg", exif=rotated)


@pytest.mark.parametrize(
    "name", ["gray.png", "alpha.png", "palette.png", "deep.png", "cmyk.jpg", "turned.jpg"]
)
def test_files_of_any_mode_are_predicted(tmp_path, name):
    save_modes(tmp_path)
    predictor = Predictor(compact_network(), device="cpu")
    by_path = predictor(tmp_path / name)
    assert by_path.label_map.shape == ((16, 10) if name == "turned.jpg" else (10, 16))
    assert torch.equal(predictor(str(tmp_path / name)).logits, by_path.logits)
    assert torch.equal(predictor(read_image(tmp_path / name)).logits, by_path.logits)
    if name != "turned.jpg":  # an opened image is taken as it is
        with Image.open(tmp_path / name) as opened:
            assert torch.equal(predictor(opened).logits, by_path.logits)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_predictor_refuses_arrays_that_are_no_rgb_image(wrong):
    with pytest.raises(ShapeError, match="an image is uint8 RGB"):
        Predictor(compact_network(), device="cpu")(wrong)


def test_predictor_refuses_a_file_that_is_no_image(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"broken\.png"):
        Predictor(compact_network(), device="cpu")(path)


def test_predictor_refuses_a_missing_or_broken_checkpoint(tmp_path, tiny_checkpoint):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        Predictor(tmp_path / "nothing.safetensors")
    short = tmp_path / "short.safetensors"
    short.write_bytes(tiny_checkpoint.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="cut short"):
        Predictor(short)


def test_outputs_that_are_not_finite_are_no_labels():
    network = compact_network()
    network.layers.final.weight.data.fill_(1e38)  # type: ignore[union-attr]
    predictor = Predictor(network, device="cpu")
    image = np.full((20, 30, 3), 255, np.uint8)
    with pytest.raises(CheckpointError, match="outputs are not finite: its weights overflow"):
        predictor(image)
    with pytest.raises(CheckpointError, match="outputs are not finite"):
        list(predictor.label_rows((20, 30), lambda start, stop: image[start:stop]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label_set": LabelSet(("a", "b"))}, "2 label names for a network of 3 classes"),
        ({"device": "abacus"}, "not on this machine"),
    ],
)
def test_predictor_refuses_wrong_settings(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Predictor(compact_network(), **wrong)
