import numpy as np
import pytest
from PIL import Image

from atrous.data.check import check_dataset, refuse_mistakes
from atrous.data.flo import write_flo
from atrous.errors import DataError
from data.measured_folders import write_depths, write_flows


def sentences(report):
    return [problem.sentence for problem in report.errors]


def test_a_good_folder_has_no_mistakes_and_its_figures_are_right(tmp_path):
    write_depths(tmp_path)
    report = check_dataset(tmp_path)
    assert report.exit_code == 0
    assert report.problems == ()
    train = report.to_dict()["splits"]["train"]
    assert (train["num_samples"], train["num_read"], train["unit"]) == (4, 4, "m")
    assert train["measured_share"] == pytest.approx(35 / 40)
    assert 0.02 * 20 <= train["lowest"] <= train["median"] <= train["highest"] <= 0.02 * 255 + 1e-6
    assert "train: 4 samples, 4 read, 87.5% of the pixels measured" in report.to_table()
    refuse_mistakes(tmp_path, splits=("train", "val"))


def test_every_kind_of_mistake_is_told_once(tmp_path):
    write_depths(tmp_path, train=8)
    for index in (0, 1, 2):
        (tmp_path / f"train/images/s{index}.png").unlink()
    Image.fromarray(np.zeros((40, 48), np.uint16)).save(tmp_path / "train/depths/s4.png")
    report = check_dataset(tmp_path)
    first, more = sentences(report)
    assert first.endswith("s0.png is missing, and the other files of s0 are there; add it")
    assert more == "train: 2 more samples cannot be read for reasons like these"
    (note,) = report.notes
    assert "1 of 8 files measure nothing" in note.sentence
    with pytest.raises(DataError, match=r"s0.png is missing.*Run `atrous check"):
        refuse_mistakes(tmp_path, splits=("train",))


def test_a_value_that_stands_for_nothing_is_told(tmp_path):
    write_depths(tmp_path)
    (tmp_path / "values.toml").unlink()
    for path in (tmp_path / "train/depths").iterdir():
        depth = np.asarray(Image.open(path)).astype(np.float32) / 1000
        depth[:5] = 1e10
        path.unlink()
        Image.fromarray(depth).save(path.with_suffix(".tif"))
    (told,) = (sentence for sentence in sentences(check_dataset(tmp_path)) if sentence.startswith("train"))
    assert "the largest depth, 1e+10, is over 1000 times the median" in told


def test_flow_in_another_unit_is_told(tmp_path):
    write_flows(tmp_path)
    assert check_dataset(tmp_path).errors == ()
    for path in (tmp_path / "train/flows").iterdir():
        write_flo(path, np.full((2, 40, 48), 500, np.float32))
    assert "half of the vectors exceed 707.1 px, and images have 48" in sentences(check_dataset(tmp_path))[0]


def test_a_folder_where_nothing_is_measured_has_an_error(tmp_path):
    write_depths(tmp_path)
    for path in (tmp_path / "val/depths").iterdir():
        Image.fromarray(np.zeros((40, 48), np.uint16)).save(path)
    (told,) = sentences(check_dataset(tmp_path))
    assert "val: 2 of 2 files measure nothing" in told


def test_a_wrong_values_toml_is_told_once(tmp_path):
    write_depths(tmp_path)
    (tmp_path / "values.toml").write_text("scale = -1")
    (told,) = sentences(check_dataset(tmp_path))
    assert "scale is -1" in told


def test_without_train_nothing_can_be_learned(tmp_path):
    write_depths(tmp_path)
    (tmp_path / "train").rename(tmp_path / "training")
    assert any('has no split "train"' in sentence for sentence in sentences(check_dataset(tmp_path)))


def test_what_is_made_has_no_files(tmp_path):
    with pytest.raises(DataError, match=r"made when they are read"):
        check_dataset(tmp_path.__class__("builtin:flow"))
