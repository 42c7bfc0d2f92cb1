"""What `check` says of folders of sounds."""

import numpy as np
import pytest

from atrous.data.check import check_dataset
from atrous.data.sound import write_sound

pytest.importorskip("soundfile", reason="needs the extra audio")

RATE = 1000


def write(root, name, samples, rate=RATE):
    write_sound(root / f"{name}.wav", np.asarray(samples, np.float32), sample_rate=rate)


def noise(num_samples=200):
    return np.random.default_rng(num_samples).uniform(-0.5, 0.5, num_samples)


def kinds(report):
    return {problem.kind: problem.severity for problem in report.problems}


def test_good_sounds_have_figures_and_no_problems(tmp_path):
    for name, length in (("a_0", 100), ("a_1", 200), ("b_0", 300), ("b_1", 400)):
        write(tmp_path, name, noise(length))
    report = check_dataset(tmp_path)
    assert report.problems == ()
    assert report.to_dict()["splits"]["train"]["seconds"] == pytest.approx((0.1, 0.25, 0.4))
    assert (
        "train: sounds: 4, 4 read, 1000 Hz, 0.1 to 0.4 s, median 0.25 s; conditions: a, b (2)"
        in report.to_table()
    )
    assert report.exit_code == 0


def test_every_mistake_is_told(tmp_path):
    write(tmp_path, "a_0", noise())
    write(tmp_path, "a_1", np.zeros(200))
    write(tmp_path, "a_2", np.sign(noise()))
    write(tmp_path, "a_3", noise(20))
    write(tmp_path, "a_4", noise(), rate=2 * RATE)
    write(tmp_path, "rare_0", noise())
    for number in range(5):
        (tmp_path / f"a_broken{number}.wav").write_text("no")
    report = check_dataset(tmp_path)
    assert kinds(report) == {
        "sound cannot be read": "error",
        "more sounds cannot be read": "error",
        "silent": "note",
        "clipped": "note",
        "short": "note",
        "rate": "note",
        "rare conditions": "note",
    }
    assert report.exit_code == 1
    said = report.to_table()
    assert "2 more sounds cannot be read" in said
    for name in ("a_1", "a_2", "a_3", "a_4"):
        assert "1 of 6 sounds" in said
        assert f"{name}.wav" in said


def test_splits_of_other_conditions_are_an_error(tmp_path):
    for split, names in (("train", "ab"), ("val", "ac")):
        for name in names:
            for number in range(2):
                write(tmp_path / split, f"{name}_{number}", noise())
    report = check_dataset(tmp_path)
    assert kinds(report) == {"different conditions": "error"}
    assert "such as b, c" in report.errors[0].sentence


def test_quick_reads_a_few(tmp_path):
    for number in range(40):
        write(tmp_path, f"a_{number:02}", noise())
    report = check_dataset(tmp_path, quick=True)
    assert report.to_dict()["splits"]["train"]["num_read"] == 16


def test_a_quick_look_finds_every_file_that_is_cut(tmp_path):
    for number in range(40):
        write(tmp_path, f"a_{number:02}", noise())
    cut = tmp_path / "a_07.wav"
    cut.write_bytes(cut.read_bytes()[:-100])
    (problem,) = check_dataset(tmp_path, quick=True).problems
    assert "a_07.wav is cut short" in problem.sentence
