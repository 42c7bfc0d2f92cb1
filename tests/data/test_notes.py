import numpy as np
import pytest
from PIL import Image

from atrous.data.images import write_label_map
from atrous.data.labels import LabelSet
from atrous.data.notes import NOTE_WITHIN, read_note

LABELS = LabelSet.unnamed(255)


def test_a_note_is_read_back_from_the_start_of_the_label_map(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300))
    write_label_map(tmp_path / "a.png", noise, LABELS, note="n" * 2000)
    content = (tmp_path / "a.png").read_bytes()
    assert len(content) > NOTE_WITHIN
    assert read_note(content[:NOTE_WITHIN]) == "n" * 2000
    with Image.open(tmp_path / "a.png") as written:
        assert np.array_equal(np.asarray(written), noise)


def test_a_label_map_without_a_note_has_none(tmp_path):
    write_label_map(tmp_path / "a.png", np.zeros((3, 4), int), LABELS)
    assert read_note((tmp_path / "a.png").read_bytes()) == ""


@pytest.mark.parametrize(
    "head", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + b"\xff" * 40]
)
def test_what_is_no_label_map_has_no_note(head):
    assert read_note(head) == ""
