from pathlib import Path

import pytest

from atrous.data.builtin import builtin_splits, is_builtin, open_builtin
from atrous.data.cues import Cues
from atrous.data.open import open_dataset, splits
from atrous.data.scenes import Scenes
from atrous.errors import DataError


def test_made_data_open_by_their_names():
    assert open_builtin(Path("builtin:scenes"), "val") == Scenes("val")
    assert open_builtin(Path("builtin:cues-37"), "test") == Cues("test", 37)
    assert open_dataset(Path("builtin:cues-37"), "test") == Cues("test", 37)


@pytest.mark.parametrize("name", ["builtin:scenes", "builtin:cues-12"])
def test_made_data_have_the_splits_that_they_say(name):
    assert splits(Path(name)) == builtin_splits(Path(name)) == ("train", "val", "test")
    for split in builtin_splits(Path(name)):
        assert len(open_builtin(Path(name), split)) > 0


@pytest.mark.parametrize("name", ["builtin:cue-40", "builtin:cues-", "builtin:cues-4.5", "builtin:cues--3"])
def test_unknown_made_data_are_refused(name):
    assert is_builtin(Path(name))
    with pytest.raises(DataError, match=r"is not built in; give builtin:scenes, or builtin:cues-DISTANCE"):
        open_builtin(Path(name), "train")


def test_folders_are_not_made(tmp_path):
    assert not is_builtin(tmp_path)
