from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.check import check_dataset
from atrous.data.encoding import IndexEncoding
from atrous.data.folder import Dataset, FileMask, Pair
from atrous.data.folds import Fold, parse_fold
from atrous.data.labels import LabelSet
from atrous.data.open import open_dataset
from atrous.errors import DataError


def dataset_of(names):
    mask = FileMask(Path("m.png"), IndexEncoding((0, 1)))
    return Dataset(LabelSet(("a", "b")), tuple(Pair(name, Path(f"{name}.png"), mask) for name in names))


@given(st.sets(st.text("abc", min_size=1, max_size=4), min_size=2, max_size=30), st.integers(2, 6), st.data())
def test_folds_share_all_pairs_out_evenly_in_the_order_of_names(names, count, data):
    if len(names) < count:
        with pytest.raises(DataError, match=f"too few for {count} folds"):
            Fold(0, count).of(dataset_of(names), source="DATA")
        return
    folds = [
        [pair.name for pair in Fold(number, count).of(dataset_of(names), source="").pairs]
        for number in range(count)
    ]
    assert [name for fold in folds for name in fold] == sorted(names)
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    number = data.draw(st.integers(0, count - 1))
    rest = Fold(number, count, is_rest=True).of(dataset_of(names), source="").pairs
    assert sorted([*folds[number], *(pair.name for pair in rest)]) == sorted(names)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fold5of5", "folds are counted from 0"),
        ("not-fold0of1", "one of at least 2"),
        ("fold0of0", "at least 2"),
    ],
)
def test_a_fold_that_cannot_be_is_refused(name, words):
    with pytest.raises(DataError, match=words):
        parse_fold(name)


@pytest.mark.parametrize("name", ["train", "fold", "fold1of5b", "test-fold1of5"])
def test_other_names_are_no_folds(name):
    assert parse_fold(name) is None


def test_folds_of_any_layout_are_parts_of_train(tiny_data):
    whole, fold, rest = (open_dataset(tiny_data, split) for split in ("train", "fold1of2", "not-fold1of2"))
    names = [[samples[index].name for index in range(len(samples))] for samples in (whole, rest, fold)]
    assert names[0] == names[1] + names[2]
    report = check_dataset(tiny_data, splits=("fold1of2",))
    assert [(split.name, split.num_samples) for split in report.splits] == [("fold1of2", 2)]
