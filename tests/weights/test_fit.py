"""Foreign tensors onto parameters: every tensor and every parameter gets its line."""

import pytest
import torch

from atrous.weights.fit import Line, fit


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((3,), (3,)),
        ((1, 1, 1, 3), (3,)),
        ((1, 1, 4, 6), (4, 6)),
        ((4, 18), (4, 2, 3, 3)),
        ((1, 1, 4, 18), (4, 2, 3, 3)),
        ((5, 6), (5, 6, 1, 1)),
        ((1, 1), (1, 1, 1, 1)),
        ((1,), (1,)),
        ((3, 1), (3,)),
    ],
)
def test_tensor_takes_the_parameters_shape_in_the_order_of_its_values(shape, wanted):
    tensor = torch.randn(shape)
    fitted = fit({"a": tensor}, names={"a": "b"}, shapes={"b": wanted})
    assert fitted.complete
    assert fitted.lines == (Line("a", "b", shape, "used"),)
    assert fitted.tensors["b"].shape == wanted
    assert fitted.tensors["b"].flatten().equal(tensor.flatten())


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((18, 4), (4, 2, 3, 3)), ((2, 4, 3, 3), (4, 2, 3, 3)), ((8, 9), (4, 2, 3, 3)), ((0,), (1,))],
)
def test_as_many_values_in_another_order_are_of_wrong_shape(shape, wanted):
    fitted = fit({"a": torch.zeros(shape)}, names={"a": "b"}, shapes={"b": wanted})
    assert not fitted.complete
    assert fitted.tensors == {}
    assert fitted.lines == (Line("a", "b", shape, "wrong shape"),)


def test_report_names_what_is_not_used_and_what_is_missing():
    given = {"a": torch.zeros(2), "x": torch.zeros(1), "gone": torch.zeros(3)}
    fitted = fit(given, names={"a": "A", "b": "B", "gone": "G"}, shapes={"A": (2,), "B": (4, 5)})
    assert fitted.lines == (
        Line("a", "A", (2,), "used"),
        Line("x", "", (1,), "unused"),
        Line("gone", "", (3,), "unused"),
        Line("b", "B", (4, 5), "missing"),
    )
    assert not fitted.complete


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_make_a_tensor_useless(value):
    tensor = torch.zeros(2, 3)
    tensor[1, 2] = value
    fitted = fit({"a": tensor, "x": tensor}, names={"a": "b"}, shapes={"b": (2, 3)})
    assert [line.status for line in fitted.lines] == ["not finite", "unused"]
    assert fitted.tensors == {}
    assert not fitted.complete
