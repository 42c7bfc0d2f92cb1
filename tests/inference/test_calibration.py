"""Which images int8 is calibrated on, and how a network sees them."""

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.errors import ConfigError
from atrous.inference.calibration import Agreement, Calibration, as_seen_by
from atrous.inference.predictor import Predictor
from atrous.models.catalog import build_network
from inference.networks import narrow_front_end
from inference.pictures import write_images


def test_a_fifth_is_held_out_and_large_folders_are_sampled_evenly(tmp_path):
    calibration = Calibration.from_folder(write_images(tmp_path, 90))
    assert (len(calibration.used), len(calibration.compared)) == (32, 8)
    assert not set(calibration.used) & set(calibration.compared)
    numbers = sorted(int(path.stem) for path in calibration.used + calibration.compared)
    assert set(np.diff(numbers)) == {2, 3}


def test_few_images_are_compared_on_too(tmp_path):
    calibration = Calibration.from_folder(write_images(tmp_path, 3))
    assert calibration.used == calibration.compared
    assert len(calibration.used) == 3


def test_a_folder_without_images_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(
            ConfigError, match=r"no image in .* give a folder with some like those to predict"
        ):
            Calibration.from_folder(folder)


def test_digest_follows_contents(tmp_path):
    folder = write_images(tmp_path, 6)
    before = Calibration.from_folder(folder).digest()
    assert Calibration.from_folder(folder).digest() == before
    Image.new("RGB", (32, 24)).save(folder / "002.png")
    assert Calibration.from_folder(folder).digest() != before


@pytest.mark.parametrize("network", [build_network("compact", num_classes=2), narrow_front_end(2)])
def test_images_are_seen_as_the_predictor_shows_them(network):
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    seen = as_seen_by(network, image, size=(24, 32))
    assert torch.equal(seen, Predictor(network, device="cpu")._with_margin(image))
    side = 2 * network.margin
    assert as_seen_by(network, image, size=(40, 50)).shape == (1, 3, 40 + side, 50 + side)


def test_agreement_says_on_what():
    assert str(Agreement(0.987, 8, is_held_out=True)) == (
        "98.7% of labels as in float32 on 8 images beside them"
    )
    assert str(Agreement(1.0, 1, is_held_out=False)) == "100.0% of labels as in float32 on 1 image of them"
