import math

import pytest
import torch

from atrous.export.deployed import Result
from atrous.export.parity import Compared, Parity, compare


def compared(change, *, result: Result = "logits", has_classes=True):
    scores = torch.tensor([[[[1.0, -2.0, 3.0, 4.0]], [[2.0, -3.0, 1.0, 1.0]]]])  # (1, 2, 1, 4)
    truth = scores.argmax(1).to(torch.uint8) if result == "labels" else scores
    inputs = [("one", truth)]
    return next(compare(lambda x: x, change, inputs, result=result, has_classes=has_classes))


def test_difference_is_a_share_of_the_largest_value():
    assert compared(lambda x: x + 0.04).largest_difference == pytest.approx(0.01)
    assert compared(lambda x: x + 0.04).agreement == 1


def test_labels_that_change_are_counted():
    swapped = compared(lambda x: torch.cat([x.flip(1)[..., :1], x[..., 1:]], -1))
    assert swapped.agreement == 0.75
    labels = compared(lambda x: x.clone().fill_(0), result="labels")
    assert (labels.largest_difference, labels.agreement) == (None, 0.75)


def test_regressions_have_no_agreement():
    assert compared(lambda x: x, has_classes=False).agreement is None


def test_another_shape_never_holds():
    one = compared(lambda x: x[..., :2])
    assert not Parity((one,), math.inf, 0.0).holds


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_what_is_not_a_number_never_holds(order):
    ones = (Compared("a", (2, 2), 1e-9, 1.0), Compared("b", (2, 2), math.nan, 1.0))[order]
    assert not Parity(ones, 1.0, 0.5).holds


def test_both_limits_count():
    one = (Compared("a", (2, 2), 1e-4, 0.98),)
    assert Parity(one, 1e-4, 0.98).holds
    assert not Parity(one, 9e-5, 0.98).holds
    assert not Parity(one, 1e-4, 0.99).holds
