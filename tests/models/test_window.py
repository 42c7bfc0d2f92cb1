import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.percentiles import percentiles
from atrous.errors import CheckpointError, ConfigError
from atrous.models.window import Window


@given(st.integers(0, 2**32 - 1), st.floats(0, 49), st.floats(51, 100))
def test_each_volume_is_clipped_to_its_percentiles_and_standardized(seed, low, high):
    rng = np.random.default_rng(seed)
    volumes = torch.from_numpy(rng.gamma(1, 100, (2, 1, 5, 4, 6))).float()
    made = Window(low, high).apply(volumes)
    for volume, normal in zip(volumes, made, strict=True):
        values = volume.numpy()
        black, white = percentiles([lambda values=values: values], (low, high))
        clipped = np.clip(values.astype(np.float64), black, white)
        np.testing.assert_allclose(normal.numpy(), (clipped - clipped.mean()) / clipped.std(), atol=1e-5)


def test_units_do_not_matter():
    volumes = torch.randn(1, 1, 6, 6, 6, dtype=torch.float64)
    made = Window().apply(volumes)
    torch.testing.assert_close(Window().apply(volumes * 37 + 1000), made)


def test_voxels_that_are_not_finite_are_the_darkest():
    volume = torch.arange(60.0).view(1, 1, 3, 4, 5)
    volume[0, 0, 0, 0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    made = Window(0, 100).apply(volume)
    assert made.isfinite().all()
    assert (made[0, 0, 0, 0, :3] == made.min()).all()
    assert not Window().apply(torch.full((1, 1, 2, 2, 2), torch.nan)).any()


def test_one_intensity_becomes_zero():
    assert not Window().apply(torch.full((1, 1, 2, 3, 4), 7.0)).any()


@pytest.mark.parametrize("wrong", [(-1.0, 50.0), (60.0, 40.0), (0.0, 101.0), (50.0, 50.0)])
def test_percentiles_that_are_none_are_refused(wrong):
    with pytest.raises(ConfigError, match="make no window"):
        Window(*wrong)


def test_it_is_stored_and_read_back():
    assert Window.from_dict(Window(1.0, 98.0).to_dict()) == Window(1.0, 98.0)
    for fields in ({"darkest": 1.0}, {"darkest": "a", "brightest": 3}, {"darkest": 5, "brightest": 2}):
        with pytest.raises(CheckpointError, match="a window needs darkest and brightest"):
            Window.from_dict(fields)
