import pytest

from atrous.data.open import open_dataset
from atrous.errors import ConfigError
from atrous.jobs.pick_volumes import pick_for_volumes
from atrous.jobs.train import TrainConfig
from jobs.volumes import write_decathlon


@pytest.fixture
def dataset(tmp_path):
    return open_dataset(write_decathlon(tmp_path, 3), "train")


def test_crops_fit_the_volumes_and_nothing_is_flipped(dataset):
    choice = pick_for_volumes(TrainConfig(device="cpu", minutes=1e-9), dataset)
    stage = choice.config.front_end
    assert choice.config.network == "context3d"
    assert stage.crop_size == (8, 8, 8)  # of 10 x 14 x 9 voxels
    assert (stage.mirror, stage.flips, stage.num_steps) == (False, (), 100)
    assert any("volumes are about 10 x 14 x 9" in reason for reason in choice.reasons)


def test_time_and_epochs_limit_the_steps(dataset):
    choice = pick_for_volumes(TrainConfig(device="cpu", minutes=1e9), dataset)
    assert choice.config.front_end.num_steps == 200 * 3 // 2


def test_a_network_that_does_not_exist_is_refused(dataset):
    with pytest.raises(ConfigError, match='no network "context4d"'):
        pick_for_volumes(TrainConfig(device="cpu", network="context4d"), dataset)
