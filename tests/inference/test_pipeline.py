"""Reading, predicting and writing overlap, in order, and an error of one work is only its own."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from atrous.data.labels import LabelSet
from atrous.errors import DataError, OutputError, ShapeError
from atrous.inference.pipeline import AHEAD, BEHIND, predict_works
from atrous.inference.predictor import Predictor
from atrous.inference.work import Outcome, Part, Work
from atrous.models.catalog import build_network

PATIENCE = 20  # s


@dataclass
class Diary:
    """What happened so far."""

    lines: list[tuple[str, int]] = field(default_factory=list)
    lock: threading.Condition = field(default_factory=threading.Condition)

    def note(self, step, number):
        with self.lock:
            self.lines.append((step, number))
            self.lock.notify_all()

    def wait_for(self, *line):
        with self.lock:
            assert self.lock.wait_for(lambda: line in self.lines, PATIENCE), line

    def numbers(self, step):
        with self.lock:
            return [number for name, number in self.lines if name == step]


@dataclass
class Noted:
    """A work that notes its steps; `errors` are raised in the steps they belong to."""

    number: int
    diary: Diary
    errors: dict[str, Exception] = field(default_factory=dict)
    waits: dict[str, tuple[str, int]] = field(default_factory=dict)
    parts: int = 0

    @property
    def source(self) -> Path:
        return Path(str(self.number))

    @property
    def outputs(self) -> tuple[Path, ...]:
        return ()

    def read(self):
        return self._do("read", self.number)

    def predict(self, predictor, content):
        assert isinstance(predictor, Predictor)
        for done in range(1, self.parts + 1):
            yield Part(self.source, done, self.parts)
        return self._do("predict", content)

    def write(self, result):
        assert result == self.number
        self._do("write", result)

    def _do(self, step, result):
        if step in self.waits:
            self.diary.wait_for(*self.waits[step])
        if step in self.errors:
            raise self.errors[step]
        self.diary.note(step, self.number)
        return result


@pytest.fixture(scope="module")
def predictor():
    return Predictor(build_network("compact", num_classes=2), label_set=LabelSet.unnamed(2), device="cpu")


def test_each_work_is_read_predicted_and_written_once_and_in_order(predictor):
    diary = Diary()
    works = [Noted(number, diary) for number in range(9)]
    assert isinstance(works[0], Work)
    assert list(predict_works(works, predictor)) == [Outcome(number) for number in range(9)]
    assert diary.numbers("predict") == list(range(9))
    assert sorted(diary.numbers("read")) == sorted(diary.numbers("write")) == list(range(9))


def test_the_next_are_read_and_the_last_written_while_one_is_predicted(predictor):
    """Each step waits for one that can only happen at the same time."""
    diary = Diary()
    works = [Noted(number, diary) for number in range(4)]
    works[0].waits["predict"] = "read", 2
    works[0].waits["write"] = "predict", 2
    assert len(list(predict_works(works, predictor))) == 4


def test_few_works_are_in_memory_at_once(predictor):
    diary, taken = Diary(), []

    def works():
        for number in range(50):
            taken.append(number)
            yield Noted(number, diary)

    outcomes = predict_works(works(), predictor)
    for over in range(1, 20):
        next(outcomes)
        assert len(taken) <= over + AHEAD + BEHIND + 1
    outcomes.close()
    assert len(taken) < 30


@pytest.mark.parametrize(
    ("step", "error"),
    [("read", DataError("cut")), ("predict", ShapeError("cut")), ("write", DataError("cut"))],
)
def test_a_bad_input_is_an_outcome_and_the_others_go_on(step, error, predictor):
    diary = Diary()
    works = [Noted(number, diary, {step: error} if number == 1 else {}) for number in range(5)]
    outcomes = list(predict_works(works, predictor))
    assert outcomes == [Outcome(number, "cut" if number == 1 else "") for number in range(5)]
    assert sorted(diary.numbers("write")) == [0, 2, 3, 4]


def test_an_output_that_cannot_be_written_ends_the_run_and_keeps_what_was_done(predictor):
    diary = Diary()
    works = [
        Noted(number, diary, {"write": OutputError("full")} if number == 3 else {}) for number in range(30)
    ]
    seen = []
    with pytest.raises(OutputError, match="full"):
        seen.extend(predict_works(works, predictor))
    assert set(diary.numbers("write")) >= {0, 1, 2}
    assert len(diary.numbers("predict")) < 10


def test_works_that_end_early_are_finished(predictor):
    diary = Diary()
    works = iter([Noted(number, diary) for number in range(30)])
    outcomes = predict_works((work for work in works if len(diary.numbers("predict")) < 3), predictor)
    count = len(list(outcomes))
    assert 3 <= count <= 3 + AHEAD + 1
    assert sorted(diary.numbers("write")) == list(range(count))


def test_a_large_work_tells_its_parts_before_its_outcome(predictor):
    works = [Noted(number, Diary(), parts=2 * (number == 1)) for number in range(2)]
    seen = list(predict_works(works, predictor))
    parts = [Part(works[1].source, 1, 2), Part(works[1].source, 2, 2)]
    assert [each for each in seen if isinstance(each, Part)] == parts
    assert [each for each in seen if isinstance(each, Outcome)] == [Outcome(0), Outcome(1)]
    assert seen.index(parts[1]) < seen.index(Outcome(1))


def test_a_large_work_can_be_left_between_its_parts(predictor):
    diary = Diary()
    works = predict_works([Noted(0, diary, parts=3)], predictor)
    assert next(works) == Part(Path("0"), 1, 3)
    works.close()
    assert not diary.numbers("predict")
    assert not diary.numbers("write")
