"""The check as a whole: what it reads, its figures, what it refuses before training, and real data sets."""

import subprocess
import sys

import numpy as np
import pytest

from atrous.data.check import QUICK_PAIRS, check_dataset, check_each, refuse_mistakes
from atrous.errors import DataError


@pytest.mark.parametrize("quick", [False, True])
def test_a_clean_set_has_no_problems(folder, quick):
    assert {path.name for path in (folder.path / "train/images").iterdir()} > {"a.png", "b.png"}
    assert {path.name for path in (folder.path / "val/images").iterdir()} == {
        "a.png",
        "b.png",
    }  # other pixels
    report = folder.check(quick=quick, crop_size=(8, 8))
    assert report.problems == ()
    assert report.exit_code == 0


def test_figures_are_those_of_the_labels(folder):
    folder.write_image("train/images/a.png", seed=0, size=(5, 20))
    folder.write_mask("train/masks/a.png", (2,), size=(5, 20))
    folder.write_mask("train/masks/b.png", [0] * 12 + [255] * 108)
    train, val = folder.check().splits
    assert (train.num_samples, train.num_read) == (4, 4)
    assert (train.smallest_size, train.largest_size) == ((5, 12), (10, 20))
    assert (val.smallest_size, val.largest_size) == ((10, 12), (10, 12))
    assert train.ignored_share == pytest.approx(108 / (3 * 120 + 100))
    assert [each.name for each in train.classes] == ["sky", "road", "car"]
    assert [each.num_images for each in train.classes] == [3, 2, 3]
    num_valid = 2 * 120 + 100 + 12
    expected = np.array([2 * 40 + 12, 2 * 40, 2 * 40 + 100]) / num_valid
    np.testing.assert_allclose([each.pixel_share for each in train.classes], expected)


def test_problems_come_errors_first(folder):
    folder.write_mask("train/masks/a.png", (255,))
    folder.write_image("val/images/a.png", seed=1)
    folder.write_image("train/images/a.png", seed=1)
    assert [problem.severity for problem in folder.check().problems] == ["error", "note"]


def test_check_each_tells_every_pair_in_order(folder):
    told = [(step.split, step.done, step.total) for step in check_each(folder.path)]
    assert told == [("train", done, 4) for done in range(1, 5)] + [("val", done, 2) for done in range(1, 3)]


def test_check_can_be_left_early(folder):
    steps = check_each(folder.path)
    next(steps)
    steps.close()


def test_only_the_asked_splits_are_read(folder):
    (folder.path / "val/masks/a.png").unlink()
    assert folder.check(splits=["train"]).problems == ()
    with pytest.raises(DataError, match='has no split "vla"; did you mean "val"'):
        folder.check(splits=["vla"])


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        check_dataset(tmp_path / "nowhere")


def test_quick_reads_a_few_pairs_and_looks_for_all_files(folder):
    folder.write_pairs("train", [f"n{number:03}" for number in range(100)])
    (folder.path / "train/masks/n050.png").unlink()
    (folder.path / "train/images/n051.png").unlink()
    report = folder.check(quick=True)
    assert {problem.files for problem in report.errors} == {
        ("train/images/n050.png",),
        ("train/masks/n051.png",),
    }
    assert (report.splits[0].num_samples, report.splits[0].num_read) == (104, QUICK_PAIRS)


def test_reading_needs_no_torch():
    code = "import sys, atrous.data.check, atrous.jobs.check\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_refuse_mistakes_lets_clean_data_pass(folder):
    refuse_mistakes(folder.path, splits=("train", "val"))


def test_refuse_mistakes_says_the_same_sentences(folder):
    (folder.path / "train/masks/b.png").unlink()
    folder.write_mask("train/masks/c.png", (0, 1, 2), size=(10, 13))
    (folder.path / "train/images/d.png").write_bytes(b"")
    (folder.path / "val/masks/a.png").write_bytes(b"")
    sentences = [problem.sentence for problem in folder.check().errors]
    assert len(sentences) == 4
    with pytest.raises(DataError) as caught:
        refuse_mistakes(folder.path, splits=("train", "val"))
    told = str(caught.value)
    assert all(sentence in told for sentence in sentences[:3])
    assert sentences[3] not in told
    assert told.endswith(f"Mistakes of other kinds: 1. Run `atrous check {folder.path}` for all of them")
    assert "\n" not in told


def test_refuse_mistakes_minds_only_what_training_uses(folder):
    (folder.path / "val/masks/a.png").unlink()
    refuse_mistakes(folder.path, splits=("train", ""))
    with pytest.raises(DataError, match=r"val/images/a\.png has no mask"):
        refuse_mistakes(folder.path, splits=("train", "val"))


def test_camvid_has_no_mistakes(shared_data):
    report = check_dataset(shared_data / "camvid", quick=True)
    assert report.problems == ()
    figures = [(split.name, split.num_samples, split.num_read) for split in report.splits]
    assert figures == [("train", 367, 16), ("val", 101, 16)]


@pytest.mark.slow
def test_all_of_camvid_has_no_mistakes(shared_data):
    report = check_dataset(shared_data / "camvid", crop_size=(320, 320))
    assert report.problems == ()
    train = report.splits[0]
    assert train.num_read == 367
    assert train.smallest_size == train.largest_size == (360, 480)
    assert max(train.classes, key=lambda each: each.pixel_share).name == "Road"
    assert sum(each.pixel_share for each in train.classes) == pytest.approx(1)


@pytest.mark.slow
def test_isbi_without_values_is_explained_and_with_them_clean(tmp_path, shared_data):
    for split, numbers in (("train", range(18)), ("val", range(18, 24))):
        for name, origin in (("images", "images"), ("masks", "labels")):
            (tmp_path / split / name).mkdir(parents=True)
            for number in numbers:
                source = shared_data / "isbi2012" / origin / f"{number}.png"
                (tmp_path / split / name / source.name).symlink_to(source.resolve())
    (tmp_path / "labels.toml").write_text('names = ["membrane", "cell"]\n')
    (problem,) = check_dataset(tmp_path).problems
    assert problem.kind == "binary mask"
    assert len(problem.files) == 24
    (tmp_path / "labels.toml").write_text('names = ["membrane", "cell"]\nvalues = [0, 255]\n')
    assert check_dataset(tmp_path, crop_size=(320, 320)).problems == ()


def test_a_union_is_checked_by_its_parts(folder):
    folder.write_pairs("more", "xyz")
    folder.write_mask("more/masks/y.png", (0, 7))
    with pytest.raises(DataError, match=r"more/masks/y\.png holds 7"):
        refuse_mistakes(folder.path, splits=("train+more", "val"))
    folder.write_mask("more/masks/y.png", (0, 1))
    refuse_mistakes(folder.path, splits=("train+more", "val"))
    report = check_dataset(folder.path, splits=("train+more", "more"))
    assert [(split.name, split.num_samples) for split in report.splits] == [("train", 4), ("more", 3)]


def test_a_union_with_an_unknown_part_is_refused(folder):
    with pytest.raises(DataError, match='no split "lost"'):
        refuse_mistakes(folder.path, splits=("train+lost", ""))
