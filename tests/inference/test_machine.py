import pytest
import torch

from atrous.errors import ConfigError
from atrous.inference.machine import autocast, computes_in_bfloat16, fast_in_bfloat16, pick_device

CPU = torch.device("cpu")


def test_pick_device_by_name_and_by_itself():
    assert pick_device("cpu") == CPU
    picked = pick_device()
    assert picked.type in ("cuda", "mps", "cpu")
    assert picked.type == "cuda" or not torch.cuda.is_available()


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "cpu:x"])
def test_pick_device_refuses_what_is_not_there(name):
    with pytest.raises(ConfigError, match=f'device "{name}" is not on this machine; use "auto" or "cpu"'):
        pick_device(name)


@pytest.mark.parametrize(
    ("precision", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("auto", None)]
)
def test_autocast_computes_convolutions_in_the_precision(precision, expected):
    if expected is None:
        expected = torch.bfloat16 if fast_in_bfloat16(CPU) else torch.float32
    convolution = torch.nn.Conv2d(2, 2, 3)
    with torch.no_grad(), autocast(CPU, precision):
        assert convolution(torch.zeros(1, 2, 5, 5)).dtype == expected
    assert convolution.weight.dtype == torch.float32
    assert computes_in_bfloat16(CPU, precision) == (expected == torch.bfloat16)


def test_bfloat16_is_never_picked_for_a_device_that_nobody_measured():
    assert not fast_in_bfloat16(torch.device("mps"))
