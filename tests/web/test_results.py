import numpy as np
import pytest
import torch

from atrous.data.labels import LabelSet
from atrous.inference.prediction import Prediction
from atrous.web.labeler import Labeled
from atrous.web.refusals import RefusedError
from atrous.web.results import PER_SESSION, Results

PIXELS = 100
BYTES = 3 * PIXELS + PIXELS + 2 * 4  # image, labels, two scores


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def labeled() -> Labeled:
    image = np.zeros((10, 10, 3), np.uint8)
    prediction = Prediction(image, torch.zeros(2, 1, 1), LabelSet(("a", "b")), stride=10)
    return Labeled(prediction, np.zeros((10, 10), np.uint8), 0.1, 0.001)


def results(**changes) -> Results:
    return Results(**{"max_bytes": 100 * BYTES, "seconds": 60.0, "clock": Clock(), **changes})


def test_a_result_is_found_by_an_id_of_its_own():
    kept, first, second = results(), labeled(), labeled()
    ids = kept.keep("a", first), kept.keep("a", second)
    assert kept.find(ids[0]) is first
    assert kept.find(ids[1]) is second
    assert len(set(ids)) == 2
    assert min(map(len, ids)) >= 20


def test_a_page_keeps_few_and_takes_none_from_others():
    kept = results()
    other, own = kept.keep("other", labeled()), [kept.keep("own", labeled()) for _ in range(PER_SESSION + 2)]
    kept.find(other)
    assert len(kept) == PER_SESSION + 1
    with pytest.raises(RefusedError, match="no longer in the server's memory") as refused:
        kept.find(own[0])
    assert refused.value.status == 404


def test_the_least_recently_seen_goes_when_memory_is_full():
    kept = results(max_bytes=2 * BYTES)
    first, second = kept.keep("1", labeled()), kept.keep("2", labeled())
    kept.find(first)
    kept.keep("3", labeled())
    assert kept.num_bytes == 2 * BYTES
    kept.find(first)
    with pytest.raises(RefusedError):
        kept.find(second)


def test_what_nobody_asks_about_is_forgotten():
    clock = Clock()
    kept = results(clock=clock)
    seen, unseen = kept.keep("1", labeled()), kept.keep("1", labeled())
    clock.now = 50
    kept.find(seen)
    clock.now = 100
    kept.expire()
    assert len(kept) == 1
    kept.find(seen)
    with pytest.raises(RefusedError):
        kept.find(unseen)


def test_a_closed_page_leaves_nothing():
    kept = results()
    kept.keep("closed", labeled())
    other = kept.keep("other", labeled())
    kept.forget("closed")
    assert len(kept) == 1
    kept.find(other)


def test_a_changed_result_takes_the_place_of_the_old_one():
    kept, changed = results(), labeled()
    identity = kept.keep("a", labeled())
    kept.change(identity, changed)
    assert kept.find(identity) is changed
    kept.change("unknown", changed)
    assert len(kept) == 1
