import math

import numpy as np
import pytest
import torch

from atrous.crf.kernels import Bilateral, Gaussian, Spatial, from_crfasrnn, from_pydensecrf
from atrous.errors import ConfigError, ShapeError

LOGITS = torch.zeros(2, 5, 3, 4, dtype=torch.float64)


def test_spatial_features_are_positions_by_sigma_x_first():
    features = Spatial(sigma=(2, 4)).features(LOGITS)  # along y, along x
    assert features.shape == (2, 2, 12)
    for pixel in range(12):
        np.testing.assert_allclose(features[1, :, pixel], [pixel % 4 / 4, pixel // 4 / 2])


def test_spacing_turns_pixels_into_distances():
    features = Spatial(sigma=6.0, spacing=(3.0, 1.5)).features(LOGITS)
    np.testing.assert_allclose(features, Spatial(sigma=(2.0, 4.0)).features(LOGITS))
    images = torch.zeros(2, 1, 3, 4)
    bilateral = Bilateral(sigma_xy=6.0, spacing=(3.0, 1.5)).features(LOGITS, images)
    np.testing.assert_allclose(bilateral[:, :2], features)


@pytest.mark.parametrize("sigma_rgb", [8.0, (8.0, 4.0, 2.0)])
def test_bilateral_features_are_positions_and_colors(sigma_rgb):
    images = torch.randint(0, 256, (2, 3, 3, 4), dtype=torch.uint8)
    features = Bilateral(sigma_xy=5.0, sigma_rgb=sigma_rgb).features(LOGITS, images)
    assert features.shape == (2, 5, 12)
    assert features.dtype == torch.float64
    np.testing.assert_allclose(features[:, :2], Spatial(5.0).features(LOGITS))
    scale = np.reshape(sigma_rgb, (-1, 1))
    np.testing.assert_allclose(features[:, 2:], images.flatten(2).numpy() / scale)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_bilateral_takes_any_channels(channels):
    assert Bilateral().features(LOGITS, torch.zeros(2, channels, 3, 4)).shape == (2, 2 + channels, 12)


@pytest.mark.parametrize("spatial", [(7,), (2, 3, 4)])
def test_kernels_take_lines_and_volumes(spatial):
    logits, images = torch.zeros(1, 2, *spatial), torch.zeros(1, 1, *spatial)
    assert Spatial().features(logits).shape == (1, len(spatial), math.prod(spatial))
    assert Bilateral().features(logits, images).shape == (1, len(spatial) + 1, math.prod(spatial))


def test_gaussian_features_are_as_given():
    values = torch.rand(2, 6, 3, 4)
    np.testing.assert_allclose(Gaussian(values).features(LOGITS), values.flatten(2))
    np.testing.assert_allclose(Gaussian(values[1]).features(LOGITS), values[1].flatten(1).expand(2, 6, 12))


def test_no_gradient_goes_through_features():
    values = torch.rand(2, 6, 3, 4, requires_grad=True)
    assert not Gaussian(values).features(LOGITS).requires_grad


@pytest.mark.parametrize("shape", [(2, 1, 3, 5), (3, 1, 3, 4), (1, 3), (2, 0, 3, 4), (0, 3, 4), ()])
def test_gaussian_features_must_fit(shape):
    with pytest.raises(ShapeError, match=r"do not fit logits \(2, 5, 3, 4\)"):
        Gaussian(torch.zeros(shape)).features(LOGITS)


def test_numbers_of_sigmas_must_fit():
    with pytest.raises(ShapeError, match=r"has 3 numbers for 2 axes; give one, or 2"):
        Spatial(sigma=(1, 2, 3)).features(LOGITS)
    with pytest.raises(ShapeError, match=r"spacing .* has 1 numbers for 2 axes"):
        Spatial(spacing=(1.0,)).features(LOGITS)
    with pytest.raises(ShapeError, match=r"sigma_rgb .* has 2 numbers for 3 channels"):
        Bilateral(sigma_rgb=(1, 2)).features(LOGITS, torch.zeros(2, 3, 3, 4))


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, (3.0, 0.0), (3.0, -1.0), ()])
def test_bandwidths_must_be_finite_and_positive(value):
    for name in ("sigma", "spacing"):
        with pytest.raises(ConfigError, match=rf"{name} .* is no bandwidth"):
            Spatial(**{name: value})
    for name in ("sigma_xy", "sigma_rgb", "spacing"):
        with pytest.raises(ConfigError, match=rf"{name} .* is no bandwidth"):
            Bilateral(**{name: value})


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf])
def test_weights_must_be_finite(weight):
    for build in (Spatial, Bilateral, lambda weight: Gaussian(torch.zeros(1, 1), weight)):
        with pytest.raises(ConfigError, match=r"kernel weight .* is not finite"):
            build(weight=weight)


def test_pydensecrf_pairs_are_turned_round():
    kernels = from_pydensecrf(
        sxy_gaussian=(1, 2), compat_gaussian=3, sxy_bilateral=(4, 5), srgb=(6, 7, 8), compat_bilateral=9
    )
    assert kernels == (Spatial((2, 1), 3), Bilateral((5, 4), (6, 7, 8), 9))


def test_crfasrnn_starts_from_its_published_values():
    assert from_crfasrnn() == (Spatial(3, 3), Bilateral(160, 3, 5))
    given = from_crfasrnn(theta_alpha=1, theta_beta=2, theta_gamma=3, spatial_weight=4, bilateral_weight=5)
    assert given == (Spatial(3, 4), Bilateral(1, 2, 5))
