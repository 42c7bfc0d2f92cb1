"""The rules as a table: no hardware, no packages."""

import pytest
import torch

from atrous.errors import ConfigError
from atrous.inference.engine_choice import Choice, Facts, choose
from atrous.inference.engines import facts_of

SLOW = Facts()
FAST = Facts(has_bfloat16=True)
INSTALLED = Facts(has_bfloat16=True, has_openvino=True, has_nncf=True)
REPEATING = Facts(has_bfloat16=True, has_openvino=True, has_nncf=True, sizes_repeat=True)
OLD_REPEATING = Facts(has_openvino=True, sizes_repeat=True)
BARE_REPEATING = Facts(has_bfloat16=True, sizes_repeat=True)
CALIBRATED = Facts(has_bfloat16=True, has_openvino=True, has_nncf=True, has_calibration=True)
CUDA = Facts("cuda", has_bfloat16=True, has_openvino=True, has_nncf=True, sizes_repeat=True)
OLD_CUDA = Facts("cuda", has_openvino=True, sizes_repeat=True)
APPLE = Facts("mps", sizes_repeat=True)


@pytest.mark.parametrize(
    ("facts", "engine", "precision", "expected"),
    [
        (SLOW, "auto", "auto", Choice("torch", "float32")),
        (SLOW, "auto", "bfloat16", Choice("torch", "bfloat16")),
        (FAST, "auto", "auto", Choice("torch", "bfloat16")),
        (FAST, "auto", "float32", Choice("torch", "float32")),
        (INSTALLED, "auto", "auto", Choice("torch", "bfloat16")),
        (INSTALLED, "openvino", "auto", Choice("openvino", "bfloat16")),
        (INSTALLED, "openvino", "float32", Choice("openvino", "float32")),
        (REPEATING, "auto", "auto", Choice("openvino", "bfloat16")),
        (REPEATING, "auto", "bfloat16", Choice("openvino", "bfloat16")),
        (REPEATING, "auto", "float32", Choice("torch", "float32")),
        (REPEATING, "torch", "auto", Choice("torch", "bfloat16")),
        (OLD_REPEATING, "auto", "auto", Choice("openvino", "float32")),
        (OLD_REPEATING, "auto", "bfloat16", Choice("torch", "bfloat16")),
        (BARE_REPEATING, "auto", "auto", Choice("torch", "bfloat16")),
        (CALIBRATED, "auto", "int8", Choice("openvino", "int8")),
        (CALIBRATED, "openvino", "int8", Choice("openvino", "int8")),
        (CUDA, "auto", "auto", Choice("torch", "bfloat16")),
        (OLD_CUDA, "auto", "auto", Choice("torch", "float32")),
        (APPLE, "auto", "auto", Choice("torch", "float32")),
    ],
)
def test_choose_takes_the_fastest_of_what_was_asked_for(facts, engine, precision, expected):
    assert choose(engine, precision, facts) == expected


@pytest.mark.parametrize(
    ("facts", "engine", "precision", "message"),
    [
        (FAST, "caffe", "auto", '"caffe" is not an engine; take one of auto, torch, openvino'),
        (FAST, "auto", "int4", '"int4" is not a precision; take one of auto, float32, bfloat16, int8'),
        (CUDA, "openvino", "auto", 'engine "openvino" computes on the processor, not on cuda; take device'),
        (FAST, "openvino", "auto", r'needs an x86 processor and the package openvino: pip install "atrous\['),
        (INSTALLED, "torch", "int8", 'precision "int8" is computed by engine "openvino", not "torch"'),
        (CUDA, "auto", "int8", 'precision "int8" computes on the processor, not on cuda'),
        (
            FAST,
            "auto",
            "int8",
            r'precision "int8" needs .* package openvino: pip install "atrous\[openvino\]"',
        ),
        (OLD_REPEATING, "auto", "int8", r'needs the package nncf: pip install "atrous\[openvino\]"'),
        (INSTALLED, "auto", "int8", "give a folder of some like those to predict as calibration"),
        (CALIBRATED, "auto", "auto", 'calibration is for precision "int8", not "auto"; leave it out'),
    ],
)
def test_choose_refuses_what_cannot_be_had_with_the_way_out(facts, engine, precision, message):
    with pytest.raises(ConfigError, match=message):
        choose(engine, precision, facts)


def test_facts_are_those_of_this_machine():
    facts = facts_of(torch.device("cpu"), sizes_repeat=True, has_calibration=False)
    assert (facts.device, facts.sizes_repeat, facts.has_calibration) == ("cpu", True, False)
    assert choose("torch", "float32", facts) == Choice("torch", "float32")
