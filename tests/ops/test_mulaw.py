"""Mu-law codes: the formula, the round trip, and what is refused."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import ConfigError
from atrous.ops.mulaw import mulaw_decode, mulaw_encode


@pytest.mark.parametrize("levels", [2, 16, 255, 256, 1024])
def test_every_code_comes_back(levels):
    codes = torch.arange(levels)
    assert torch.equal(mulaw_encode(mulaw_decode(codes, levels=levels), levels=levels), codes)


@given(st.floats(-1, 1, width=32))
def test_a_code_stands_for_the_nearest_value_on_the_companded_scale(sample):  # G.711, continuous form
    companded = math.copysign(math.log1p(255 * abs(sample)) / math.log1p(255), sample)
    (code,) = mulaw_encode(torch.tensor([sample])).tolist()
    assert abs(code - (companded + 1) / 2 * 255) <= 0.5 + 1e-4
    (back,) = mulaw_decode(torch.tensor([code])).double().tolist()
    again = math.copysign(math.log1p(255 * abs(back)) / math.log1p(255), back)
    assert abs(again - companded) <= 1 / 255 + 1e-5


def test_louder_samples_never_have_a_smaller_code():
    codes = mulaw_encode(torch.linspace(-1.2, 1.2, 10_001))
    assert (codes.diff() >= 0).all()
    assert (int(codes.min()), int(codes.max())) == (0, 255)
    assert int(mulaw_encode(torch.zeros(1))) == 128


def test_levels_that_hold_no_sound_are_refused():
    with pytest.raises(ConfigError, match="1 levels hold no sound; give at least 2"):
        mulaw_encode(torch.zeros(1), levels=1)
    with pytest.raises(ConfigError, match="0 levels hold no sound"):
        mulaw_decode(torch.zeros(1, dtype=torch.int64), levels=0)
