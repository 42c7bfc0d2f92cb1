"""A normalization folded into the first layer: the same responses from pixels prepared in another way."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from atrous.models.contract import IMAGENET_BGR, Normalization
from atrous.models.vgg_weights import fold_normalization

mean = st.tuples(*[st.floats(-200, 200)] * 3)
normalizations = st.builds(
    Normalization,
    mean=mean,
    std=st.tuples(*[st.floats(0.5, 100)] * 3),
    channels=st.sampled_from(["RGB", "BGR"]),
)


@given(given=normalizations, wanted=normalizations, seed=st.integers(0, 99))
def test_folding_keeps_the_function(given, wanted, seed):
    generator = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(4, 3, 3, 2, generator=generator).double(), torch.ones(4).double()
    photo = torch.randint(0, 256, (1, 3, 6, 7), generator=generator).double()
    folded = fold_normalization(weight, bias, given=given, wanted=wanted)
    torch.testing.assert_close(
        functional.conv2d(wanted.apply(photo), *folded), functional.conv2d(given.apply(photo), weight, bias)
    )


def test_folding_another_mean_differs_at_padded_borders_alone():
    torch.manual_seed(0)
    weight, bias, photo = torch.randn(4, 3, 3, 3), torch.randn(4), torch.rand(1, 3, 6, 7) * 255
    given = Normalization((100.0, 110.0, 120.0), (50.0, 60.0, 70.0))
    before = functional.conv2d(given.apply(photo), weight, bias, padding=1)
    for wanted, keeps_borders in [
        (Normalization((120.0, 110.0, 100.0), channels="BGR"), True),
        (IMAGENET_BGR, False),
    ]:
        folded = fold_normalization(weight, bias, given=given, wanted=wanted)
        after = functional.conv2d(wanted.apply(photo), *folded, padding=1)
        torch.testing.assert_close(after[..., 1:-1, 1:-1], before[..., 1:-1, 1:-1], rtol=1e-4, atol=1e-4)
        difference = (after - before).abs().amax((0, 1))
        border = torch.cat([difference[0], difference[-1], difference[:, 0], difference[:, -1]])
        assert (border < 1e-4).all() if keeps_borders else (border > 1e-2).all()
