"""Label tracks: what their lines mean, what is refused, and that what is written is read."""

import itertools

import numpy as np
import pytest

from atrous.data.label_tracks import read_label_track, write_label_track
from atrous.data.labeled_sounds import open_sound_split
from atrous.data.labels import LabelSet
from atrous.data.sound import write_sound
from atrous.errors import DataError

CLASSES = LabelSet(("silence", "speech", "music"))


def read(path, num_samples=20, sample_rate=10):
    return read_label_track(path, CLASSES, num_samples=num_samples, sample_rate=sample_rate).tolist()


def test_stretches_have_their_class_and_the_rest_the_first(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("0.3\t0.6\tspeech\n\\\t100\t200\n\n1,0\t1,2\tmusic\n1.9\t9\tspeech\n")
    assert read(path) == [0] * 3 + [1] * 3 + [0] * 4 + [2] * 2 + [0] * 7 + [1]


def test_an_empty_track_is_the_first_class_throughout(tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    assert read(path) == [0] * 20


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "a.txt"
    labels = np.random.default_rng(0).integers(0, 3, 50).repeat(7)
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    stretches = [(begin, end, int(labels[begin])) for begin, end in itertools.pairwise(edges)]
    for rate in (8000, 44_100, 96_000):
        write_label_track(path, stretches, CLASSES, sample_rate=rate)
        assert read(path, num_samples=len(labels), sample_rate=rate) == labels.tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0\t1\tnoise\n", r'line 1 of .* is of "noise"; labels.toml knows silence, speech, music'),
        ("\n0 1 speech\n", r"line 2 of .* is '0 1 speech'; write begin and end in seconds"),
        ("1\t0.5\tspeech\n", r"is from 1.0 to 0.5 s; let it begin at 0"),
        ("-1\t0.5\tspeech\n", r"is from -1.0 to 0.5 s"),
        ("nan\t0.5\tspeech\n", r"is from nan to 0.5 s"),
        ("0\t1\tspeech\n0.5\t1.5\tmusic\n", r"line 2 of .* overlaps one of another class"),
    ],
)
def test_lines_that_mean_nothing_are_refused(tmp_path, text, words):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read(path)


def test_a_missing_track_is_told(tmp_path):
    with pytest.raises(DataError, match="export a label track from Audacity"):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("line", "words"),
    [("2\t3\tspeech", "begins at 2 s, and the sound ends at 2 s"), ("0\t1e308\tspeech", "let it begin at 0")],
)
def test_times_that_no_sound_has_are_told(tmp_path, line, words):
    (tmp_path / "a.txt").write_text(f"{line}\n")
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.txt")


def test_a_mark_of_byte_order_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf0.5\t1\tspeech\n")
    assert sum(read(tmp_path / "a.txt")) == 5


def test_two_sounds_of_one_name_are_refused(tmp_path):
    pytest.importorskip("soundfile", reason="needs the extra audio")
    for ending in (".wav", ".flac"):
        write_sound(tmp_path / "train/sounds/a.wav", np.zeros(9, np.float32), sample_rate=10)
        (tmp_path / "train/sounds/a.wav").rename(tmp_path / f"train/sounds/b{ending}")
    (tmp_path / "labels.toml").write_text('names = ["silence", "speech"]\n')
    with pytest.raises(DataError, match=r"b\.flac and b\.wav would share a label track"):
        open_sound_split(tmp_path, "train")
