import json
import subprocess
import sys

import pytest

from atrous.data.labels import LabelSet, distinct_palette
from atrous.errors import DataError


def test_label_set_without_palette_gets_distinct_colors():
    label_set = LabelSet(("sky", "road"))
    assert label_set.num_classes == 2
    assert label_set.palette == distinct_palette(2)


def test_label_set_survives_json():
    label_set = LabelSet(("sky", "Straße"), ((1, 2, 3), (255, 0, 7)))
    assert LabelSet.from_dict(json.loads(json.dumps(label_set.to_dict()))) == label_set


def test_unnamed_label_set_counts_its_classes():
    assert LabelSet.unnamed(3).names == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("names", "palette", "message"),
    [
        ((), (), "0 class names"),
        (tuple(str(label) for label in range(256)), (), "256 class names"),
        (("sky", " "), (), "empty name"),
        (("sky", "road", "sky"), (), "'sky' is used twice"),
        (("sky", "road"), ((1, 2, 3),), "1 colors for 2 classes"),
        (("sky",), ((1, 2, 256),), r"\(1, 2, 256\)"),
    ],
)
def test_label_set_refuses(names, palette, message):
    with pytest.raises(DataError, match=message):
        LabelSet(names, palette)


@pytest.mark.parametrize(
    "fields", [{}, {"names": ["sky"]}, {"names": ["sky"], "palette": [[1, 2]]}, {"names": 3}]
)
def test_from_dict_refuses_other_forms(fields):
    with pytest.raises(DataError, match="stored as names and palette"):
        LabelSet.from_dict(fields)


def test_distinct_palette_never_repeats_nor_uses_black_or_white():
    palette = distinct_palette(255)
    assert len({*palette, (0, 0, 0), (255, 255, 255)}) == 257


def test_distinct_palette_keeps_its_colors_when_it_grows():
    assert distinct_palette(40)[:7] == distinct_palette(7)


def test_distinct_palette_puts_the_first_colors_far_apart():
    palette = [*distinct_palette(8), (0, 0, 0), (255, 255, 255)]
    distances = [
        sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
        for index, one in enumerate(palette)
        for other in palette[:index]
    ]
    assert min(distances) > 120  # of at most 442 between black and white


def test_reading_a_data_set_needs_no_torch():
    program = "import atrous.data.open, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
