"""What a report shows."""

import json
from pathlib import Path

from atrous.data.check_report import ClassReport, Problem, Report, SplitReport


def split_report(name, classes, *, share=None):
    return SplitReport(name, 40, 16, (240, 320), (360, 320), 0.125, share, classes)


CLASSES = (ClassReport("sky", 0.75, 16), ClassReport("bicyclist", 0.25, 3))
ERROR = Problem("error", "missing mask", "a.png has no mask", ("a.png",))
NOTE = Problem("note", "no val split", "there is no val")


def test_table_shows_splits_classes_and_problems():
    report = Report(
        Path("set"), "folders", False, (ERROR, NOTE), (split_report("train", CLASSES, share=0.5),)
    )
    assert report.to_table().splitlines() == [
        "set (folders layout)",
        "",
        "split  samples  read  width x height, px  ignored  empty crops",
        "train       40    16       320 x 240-360    12.5%       50.00%",
        "",
        "class      train: pixels in images",
        "sky                 75.00% in   16",
        "bicyclist           25.00% in    3",
        "",
        "errors:",
        "- a.png has no mask",
        "",
        "notes:",
        "- there is no val",
    ]


def test_table_of_a_clean_set_says_so():
    report = Report(Path("set"), "folders", True, (), (split_report("train", CLASSES),))
    assert report.to_table().endswith("\n\nno mistakes found in the pairs read")


def test_table_keeps_to_a_screen_with_many_classes():
    classes = tuple(ClassReport(f"class {label}", 0.01, 1) for label in range(100))
    table = Report(Path("set"), "COCO", False, (), (split_report("train", classes),)).to_table()
    assert "class 39 " in table
    assert "class 40 " not in table
    assert "and 60 more (--json)" in table


def test_table_shows_splits_with_different_classes():
    report = Report(
        Path("set"), "COCO", False, (), (split_report("a", CLASSES[:1]), split_report("b", CLASSES))
    )
    assert "bicyclist" in report.to_table()


def test_dict_is_json_with_everything():
    report = Report(Path("set"), "folders", False, (ERROR, NOTE), (split_report("train", CLASSES),))
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False)) == {
        "data": "set",
        "layout": "folders",
        "quick": False,
        "problems": [
            {
                "severity": "error",
                "kind": "missing mask",
                "sentence": "a.png has no mask",
                "files": ["a.png"],
            },
            {"severity": "note", "kind": "no val split", "sentence": "there is no val", "files": []},
        ],
        "splits": {
            "train": {
                "num_samples": 40,
                "num_read": 16,
                "smallest_size": [240, 320],
                "largest_size": [360, 320],
                "ignored_share": 0.125,
                "ignored_crop_share": None,
                "classes": [
                    {"name": "sky", "pixel_share": 0.75, "num_images": 16},
                    {"name": "bicyclist", "pixel_share": 0.25, "num_images": 3},
                ],
            }
        },
    }


def test_exit_code_follows_the_errors():
    assert Report(Path("set"), "folders", False, (NOTE,), ()).exit_code == 0
    report = Report(Path("set"), "folders", False, (ERROR, NOTE), ())
    assert report.exit_code == 1
    assert report.errors == (ERROR,)
    assert report.notes == (NOTE,)


def test_a_split_of_which_nothing_could_be_read_has_figures_too(folder):
    for name in folder.masks("train"):
        (folder.path / name).write_bytes(b"")
    report = folder.check(crop_size=(4, 4))
    assert report.splits[0].num_read == 0
    assert [each.pixel_share for each in report.splits[0].classes] == [0, 0, 0]
    json.dumps(report.to_dict(), allow_nan=False)
    assert "train/masks/a.png" in report.to_table()
