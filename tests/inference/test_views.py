import pytest

from atrous.errors import ConfigError
from atrous.inference.views import Views


def test_every_scale_is_seen_as_it_is_and_mirrored():
    assert list(Views()) == [(1.0, False)]
    assert list(Views((1.0, 0.5), flip=True)) == [(1.0, False), (1.0, True), (0.5, False), (0.5, True)]


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (-1.0,), (10.0,), (float("nan"),)])
def test_scales_beyond_what_can_be_seen_are_refused(scales):
    with pytest.raises(ConfigError, match="positive factors below 10, at least one"):
        Views(scales)
