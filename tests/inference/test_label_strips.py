import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import OutputError, ShapeError
from atrous.inference.label_strips import open_label_strips
from inference.raster_files import noise

JOB = {"input": "a.tif", "scales": (1, 2)}
LABELS = noise(100, 30) % 5


def some_strips(folder, *heights, job=JOB):
    strips = open_label_strips(folder / "a.png", LABELS.shape, job)
    for height in heights:
        strips.append(LABELS[strips.next_row : strips.next_row + height])
    return strips


@given(st.lists(st.integers(1, 30), min_size=1, max_size=10), st.integers(1, 120))
def test_rows_come_back_in_parts_of_any_height(tmp_path_factory, heights, part):
    strips = some_strips(tmp_path_factory.mktemp("strips"), *heights[:3])
    parts = list(strips.rows(part))
    assert {len(rows) for rows in parts[:-1]} <= {part}
    np.testing.assert_array_equal(np.concatenate(parts), LABELS[: strips.next_row])


def test_the_same_job_goes_on_after_the_last_strip(tmp_path):
    assert some_strips(tmp_path, 10, 20).next_row == 30
    again = some_strips(tmp_path, 70)
    assert again.next_row == 100
    np.testing.assert_array_equal(next(again.rows(100)), LABELS)


def test_another_job_is_refused_or_begins_anew_and_never_mixes(tmp_path):
    some_strips(tmp_path, 10)
    other = {**JOB, "scales": (1,)}
    with pytest.raises(OutputError, match=r"another job \(its scales differ\).*--overwrite"):
        open_label_strips(tmp_path / "a.png", LABELS.shape, other)
    assert open_label_strips(tmp_path / "a.png", LABELS.shape, JOB).next_row == 10
    strips = open_label_strips(tmp_path / "a.png", LABELS.shape, other, overwrite=True)
    assert strips.next_row == 0
    assert json.loads((strips.folder / "job.json").read_text())["scales"] == [1]


def test_another_size_is_another_job(tmp_path):
    some_strips(tmp_path, 10)
    with pytest.raises(OutputError, match="its size differ"):
        open_label_strips(tmp_path / "a.png", (100, 31), JOB)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path, overwrite):
    (tmp_path / "a.png.parts").mkdir()
    (tmp_path / "a.png.parts" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not made by atrous"):
        open_label_strips(tmp_path / "a.png", LABELS.shape, JOB, overwrite=overwrite)
    assert (tmp_path / "a.png.parts" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["[]", "3", "[" * 100_000, "{"])
def test_a_job_that_cannot_be_read_is_somebody_else_s(tmp_path, text):
    strips = open_label_strips(tmp_path / "a.tif", (5, 3), {"scales": [1]})
    (strips.folder / "job.json").write_text(text)
    with pytest.raises(OutputError):
        open_label_strips(tmp_path / "a.tif", (5, 3), {"scales": [1]})


def test_a_strip_that_is_lost_is_made_anew_and_those_after_it_count_again(tmp_path):
    strips = some_strips(tmp_path, 10, 20, 30)
    next(strips.folder.glob("0000000010-*")).unlink()
    assert strips.next_row == 10
    strips.append(LABELS[10:30])
    assert strips.next_row == 60


def test_what_a_killed_process_left_half_written_does_not_count(tmp_path):
    strips = some_strips(tmp_path, 10)
    (strips.folder / ".0000000010-0000000030.strip.x1y2.strip").write_bytes(b"half")
    assert some_strips(tmp_path).next_row == 10
    strips.append(LABELS[10:])
    np.testing.assert_array_equal(next(strips.rows(100)), LABELS)


def test_a_damaged_strip_is_named(tmp_path):
    strips = some_strips(tmp_path, 10, 20)
    next(strips.folder.glob("0000000010-*")).write_bytes(b"damaged")
    with pytest.raises(OutputError, match=r"0000000010-0000000030\.strip cannot be read .*delete it"):
        list(strips.rows(100))


@pytest.mark.parametrize("shape", [(0, 30), (5, 29), (101, 30)])
def test_append_refuses_rows_that_do_not_fit(tmp_path, shape):
    with pytest.raises(ShapeError, match="1 to 100 rows of 30"):
        some_strips(tmp_path).append(np.zeros(shape, np.uint8))


def test_remove_leaves_nothing(tmp_path):
    some_strips(tmp_path, 10).remove()
    assert not list(tmp_path.iterdir())


PRELUDE = f"""
import signal, sys
import numpy as np
from pathlib import Path
from atrous.inference.label_strips import open_label_strips
labels = np.random.default_rng(0).integers(0, 256, (100, 3000), dtype=np.uint8)
strips = open_label_strips(Path(sys.argv[1]) / "a.png", labels.shape, {JOB})
def store(start, stop):
    strips.append(labels[start:stop])
"""


def run_script(script: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_strips_outlive_kill_9(tmp_path):
    process = run_script(
        "store(0, 40)\nprint('stored', flush=True)\nwhile True: store(strips.next_row, 41)", tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "stored\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    labels = noise(100, 3000)
    strips = open_label_strips(tmp_path / "a.png", labels.shape, JOB)
    assert strips.next_row in {40, 41}
    strips.append(labels[strips.next_row :])
    np.testing.assert_array_equal(next(strips.rows(100)), labels)


def test_a_full_disk_keeps_the_strips_before_and_says_what_to_do(tmp_path):
    script = """
import resource
store(0, 20)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # bytes; noise does not shrink
store(20, 100)
"""
    process = run_script(script, tmp_path)
    assert "OutputError: cannot store rows 20-99" in process.communicate()[1].splitlines()[-1]
    strips = open_label_strips(tmp_path / "a.png", (100, 3000), JOB)
    assert strips.next_row == 20
    assert sorted(path.name for path in strips.folder.iterdir()) == [
        "0000000000-0000000020.strip",
        "job.json",
    ]
