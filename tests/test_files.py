"""Files that appear whole or not at all."""

import pytest

from atrous.errors import OutputError
from atrous.files import remove_leftovers, write_atomically, write_text


def interrupted(temporary):
    temporary.write_text("half of i")
    raise KeyboardInterrupt


def failing(temporary):
    temporary.write_text("half of i")
    raise OSError("the disk is full")


def test_text_is_written_as_utf8_and_replaces(tmp_path):
    write_text(tmp_path / "deep" / "a.txt", "one")
    write_text(tmp_path / "deep" / "a.txt", "Straße 🛰")
    assert (tmp_path / "deep" / "a.txt").read_bytes() == "Straße 🛰".encode()
    assert len(list((tmp_path / "deep").iterdir())) == 1


def test_the_temporary_file_lies_beside_the_path_with_its_suffix(tmp_path):
    seen = []
    write_atomically(
        tmp_path / "a.png", lambda temporary: (seen.append(temporary), temporary.write_bytes(b"x"))
    )
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".png"
    assert (tmp_path / "a.png").read_bytes() == b"x"


@pytest.mark.parametrize("old", [None, "what was there"])
@pytest.mark.parametrize(("write", "error"), [(failing, OutputError), (interrupted, KeyboardInterrupt)])
def test_a_write_that_breaks_off_changes_nothing(write, error, old, tmp_path):
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)
    with pytest.raises(error) as caught:
        write_atomically(path, write)
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ([] if old is None else [old])
    if error is OutputError:
        assert str(caught.value) == (
            f"cannot write {path} (the disk is full); what was there before is untouched"
        )


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*a\.txt") as caught:
        write_text(tmp_path / "a.txt", "text")
    assert "\n" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    target = tmp_path / "a.overlay.jpg"
    write_atomically(target, lambda temporary: (tmp_path / "name").write_text(temporary.name))
    left = tmp_path / (tmp_path / "name").read_text()
    others = [
        tmp_path / name for name in (".b.overlay.jpg.abcd1234.jpg", ".a.overlay.jpg", ".profile", "a.jpg")
    ]
    for path in (left, *others):
        path.touch()
    remove_leftovers([target, tmp_path / "nowhere" / "b.png"])
    assert not left.exists()
    assert all(path.exists() for path in (target, *others))
