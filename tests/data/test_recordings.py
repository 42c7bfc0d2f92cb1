"""Folders of sounds: splits, folds, conditions, and what is refused."""

import numpy as np
import pytest

from atrous.data.recordings import holds_recordings, open_recordings, recording_splits
from atrous.data.sound import write_sound
from atrous.data.voice import Voice
from atrous.errors import CheckpointError, DataError

pytest.importorskip("soundfile", reason="needs the extra audio")


def write(folder, *names, rate=8000):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        samples = np.full(30 + number, 0.1, np.float32)
        write_sound(folder / f"{name}.wav", samples, sample_rate=rate)


def test_conditions_stand_in_the_names(tmp_path):
    write(tmp_path, "seven_a", "three_a", "seven_b")
    dataset = open_recordings(tmp_path, "train")
    assert dataset.voice == Voice(8000, ("seven", "three"))
    assert [(dataset[index].name, dataset[index].condition) for index in range(3)] == [
        ("seven_a", 0), ("seven_b", 0), ("three_a", 1),
    ]  # fmt: skip
    assert len(dataset[2].samples) == 31


def test_conditions_are_folders(tmp_path):
    write(tmp_path / "train" / "yes", "a_1", "b")
    write(tmp_path / "train" / "no", "a_1")
    write(tmp_path / "val" / "yes", "c")
    assert recording_splits(tmp_path) == ("train", "val")
    dataset = open_recordings(tmp_path, "train")
    assert dataset.voice.conditions == ("no", "yes")
    assert [dataset[index].condition for index in range(3)] == [0, 1, 1]


def test_names_without_conditions_have_none(tmp_path):
    write(tmp_path, "a_1", "b")
    dataset = open_recordings(tmp_path, "train")
    assert dataset.voice.conditions == ()
    assert dataset[0].condition is None


def test_every_part_has_its_share_of_every_condition(tmp_path):
    names = [f"{word}_{number}" for word in ("a", "b") for number in range(6)]
    write(tmp_path, *names)
    parts = [open_recordings(tmp_path, f"fold{number}of3") for number in range(3)]
    assert [[dataset.numbers.count(condition) for condition in (0, 1)] for dataset in parts] == [[2, 2]] * 3
    assert sorted(path.stem for dataset in parts for path in dataset.paths) == names
    rest = open_recordings(tmp_path, "not-fold1of3")
    assert {*rest.paths, *parts[1].paths} == {path for dataset in parts for path in dataset.paths}
    assert not {*rest.paths} & {*parts[1].paths}


def test_all_are_brought_to_one_rate(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b", rate=16_000)
    dataset = open_recordings(tmp_path, "train")
    assert [len(dataset[index].samples) for index in (0, 1)] == [30, 15]
    assert len(open_recordings(tmp_path, "train", sample_rate=16_000)[0].samples) == 60


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="no folder at"):
        open_recordings(tmp_path / "none", "train")
    assert not holds_recordings(tmp_path)
    with pytest.raises(DataError, match=r"holds no sounds; put files such as \.wav into it"):
        open_recordings(tmp_path, "train")
    write(tmp_path, "a_1", "b_1")
    with pytest.raises(DataError, match='has no split "tran"; did you mean "train"'):
        open_recordings(tmp_path, "tran")
    with pytest.raises(DataError, match=r'1 sounds of "a" are too few for 2 folds'):
        open_recordings(tmp_path, "fold0of2")
    write(tmp_path / "c", "d")
    with pytest.raises(DataError, match="has sounds in it and in folders in it"):
        open_recordings(tmp_path, "train")


def test_a_voice_comes_back_from_what_was_stored():
    voice = Voice(16_000, ("a", "b"))
    assert Voice.from_dict(voice.to_dict()) == voice
    assert (voice.in_channels, voice.num_outputs) == (258, 256)
    assert voice.number_of("b") == 1
    with pytest.raises(DataError, match='no condition "c"; known are a, b'):
        voice.number_of("c")
    with pytest.raises(CheckpointError, match="a voice has sample_rate"):
        Voice.from_dict({"voice": {"sample_rate": 0, "conditions": [], "levels": 256}})


def test_a_name_that_begins_with_the_underscore_names_no_condition(tmp_path):
    write(tmp_path, "_x", "a_x", "b_x")
    dataset = open_recordings(tmp_path, "train")
    assert (dataset.voice.conditions, dataset.numbers) == ((), (None, None, None))


def test_too_few_sounds_for_a_fold_are_told_with_the_way_out(tmp_path):
    write(tmp_path, "a_1", "a_2", "b_1", "b_2")
    with pytest.raises(DataError, match=r"--train-split not-fold0of2 --val-split fold0of2"):
        open_recordings(tmp_path, "fold0of10")


def test_sounds_with_labels_are_for_labelers(tmp_path):
    write(tmp_path / "train" / "sounds", "a")
    (tmp_path / "train" / "labels").mkdir()
    with pytest.raises(DataError, match="has sounds with labels, for a labeler"):
        open_recordings(tmp_path, "train")
