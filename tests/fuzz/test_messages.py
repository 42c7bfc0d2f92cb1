"""What a file says and is called does not steer the screen that it is shown on, nor fill it."""

import pytest
from PIL import Image

from atrous.cli import main
from atrous.config import from_dict
from atrous.data.labels import LabelSet
from atrous.errors import ConfigError, DataError
from atrous.jobs.train import TrainConfig


def test_a_message_does_not_steer_the_terminal():
    for name in ("\x1b[2J\x1b]0;owned\x07", "a\nerror: all is well", "\u202egnp.exe"):
        with pytest.raises(ConfigError) as caught:
            from_dict(TrainConfig, {name: 1}, source="a.toml")
        assert str(caught.value).isprintable()
    with pytest.raises(DataError, match="cannot be printed"):
        LabelSet(("a", "\x1b[31mred"))


def test_names_of_files_do_not_steer_the_terminal(tmp_path, capsys):
    """A data set from elsewhere brings the names of its files, and `check` prints them."""
    for folder in ("images", "masks"):
        (tmp_path / "train" / folder).mkdir(parents=True)
    (tmp_path / "labels.toml").write_text('names = ["a", "b"]\n')
    Image.new("RGB", (5, 5)).save(tmp_path / "train/images/a\x1b[2J.png")
    Image.new("L", (4, 5), 9).save(tmp_path / "train/masks/a\x1b[2J.png")
    assert main(["check", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "a\\x1b[2J" in said.out
    assert "\x1b" not in said.out + said.err


def test_a_message_is_short_whatever_a_file_says():
    with pytest.raises(ConfigError) as caught:
        from_dict(TrainConfig, {"seed": "9" * 10**6}, source="a.toml")
    assert len(str(caught.value)) < 2100
    assert str(caught.value).endswith("it must be of type int")
