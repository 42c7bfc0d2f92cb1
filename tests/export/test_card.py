import json
from dataclasses import replace

import pytest
import torch

from atrous.errors import CheckpointError
from atrous.export.card import Card, card_of
from atrous.export.deployed import Ends
from inference.networks import Small


def small_card(**changes):
    card = card_of(
        Small(), Ends(raw=True), name="small", arguments={"num_classes": 3}, labels={"names": ["a"]}
    )
    return json.loads(card.to_json()) | changes


def test_card_comes_back_as_it_was():
    card = Card.from_json(json.dumps(small_card()), source="x.onnx")
    assert json.loads(card.to_json()) == small_card()
    assert card.geometry == Small().geometry
    assert card.ends == Ends(raw=True)


def test_learned_crf_comes_back_bit_for_bit():
    card = Card.from_json(json.dumps(small_card()), source="x.onnx")
    weights = {"compatibility": torch.randn(3, 3), "weights": torch.randn(2)}
    stored = replace(card, crf_tensors=weights)
    found = Card.from_json(stored.to_json(), source="x.onnx").crf_tensors
    assert all(found[name].equal(value) for name, value in weights.items())


def test_newer_card_is_refused_by_name():
    with pytest.raises(CheckpointError, match="exported in format 99, this atrous reads 1; upgrade"):
        Card.from_json(json.dumps(small_card(format_version=99)), source="x.onnx")


@pytest.mark.parametrize(
    "changes",
    [
        {"geometry": {"output_stride": 0, "center": 0.0, "receptive_field": 1}},
        {"geometry": 3},
        {"num_outputs": -1},
        {"labels": "none"},
        {"ends": {"raw": True, "result": "masks"}},
        {"crf_tensors": "AAAA"},
        {"crf_tensors": "no base64"},
        {"format_version": "2"},
    ],
)
def test_changed_card_is_refused(changes):
    with pytest.raises(CheckpointError, match=r"x\.onnx"):
        Card.from_json(json.dumps(small_card(**changes)), source="x.onnx")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "\x00", "[" * 100_000])
def test_text_that_is_no_card_is_refused(text):
    with pytest.raises(CheckpointError, match="export it anew"):
        Card.from_json(text, source="x.onnx")
