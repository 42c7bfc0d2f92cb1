import pytest

from atrous.errors import ConfigError
from atrous.inference.views import Views


def test_every_scale_is_seen_as_it_is_and_mirrored():
    assert Views().of((3, 4)) == [(1.0, False)]
    assert Views((1.0, 0.5), flip=True).of((3, 4)) == [(1.0, False), (1.0, True), (0.5, False), (0.5, True)]


@pytest.mark.parametrize(
    ("size", "scale"), [((300, 400), 0.25), ((400, 300), 0.25), ((100, 100), 1), ((2, 3), 1)]
)
def test_images_with_a_longer_side_are_shrunk_to_the_longest_and_others_are_not(size, scale):
    assert Views(longest_side=100).of(size) == [(scale, False)]
    assert Views((1.0, 2.0), longest_side=100).of(size) == [(scale, False), (2 * scale, False)]
    assert Views(longest_side=0).of(size) == Views(longest_side=None).of(size) == [(1.0, False)]


@pytest.mark.parametrize("side", [-1, 1_000_001, 10**400])
def test_sides_of_no_image_are_refused(side):
    with pytest.raises(
        ConfigError, match=f"longest_side {side} is none; give 0, for any, to 1,000,000 pixels"
    ):
        Views(longest_side=side)


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (-1.0,), (10.0,), (float("nan"),)])
def test_scales_beyond_what_can_be_seen_are_refused(scales):
    with pytest.raises(ConfigError, match="positive factors below 10, at least one"):
        Views(scales)
