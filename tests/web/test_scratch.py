import os
import tempfile
from pathlib import Path

from atrous.web.scratch import remove_dead, scratch_folder


def test_temporary_files_of_a_server_are_gone_at_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with scratch_folder() as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o77 == 0
        assert os.environ["GRADIO_TEMP_DIR"].startswith(str(folder))
        handle, name = tempfile.mkstemp()
        os.close(handle)
        assert Path(name).parent == folder
    assert list(tmp_path.iterdir()) == []
    assert os.environ["TMPDIR"] == str(tmp_path)
    assert "GRADIO_TEMP_DIR" not in os.environ
    assert tempfile.tempdir == str(tmp_path)


def test_folders_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, foreign = tmp_path / "atrous-serve-dead", tmp_path / "other-dead"
    for folder in (dead, foreign):
        folder.mkdir()
        (folder / "lock").touch()
        (folder / "upload.png").touch()
    with scratch_folder() as alive:
        remove_dead(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([alive, foreign])
