import itertools

import pytest
import torch
from lightning_fabric import Fabric

from atrous.data.open import open_dataset
from atrous.errors import ConfigError
from atrous.jobs.volume_examples import volume_augmentation_of, volume_examples
from atrous.models.catalog import build_network
from atrous.training.settings import Stage
from jobs.volumes import write_decathlon

STAGE = Stage(num_steps=6, batch_size=2, accumulate=2, crop_size=(8, 6, 4), mirror=False, loss_stride=2)


def test_settings_of_a_stage_become_those_of_volumes():
    made = volume_augmentation_of(Stage(crop_size=(8, 6, 4), mirror=True, flips=(2,), color=0.1))
    assert (made.crop_size, made.flips, made.contrast) == ((8, 6, 4), (0, 2), 0.1)
    with pytest.raises(ConfigError, match="is that of an image; give three sides"):
        volume_augmentation_of(Stage(crop_size=(8, 6)))


def test_examples_go_on_where_they_stopped_and_labels_follow_the_stride(tmp_path):
    data = open_dataset(write_decathlon(tmp_path, 3), "train")
    network, fabric = build_network("context3d"), Fabric(accelerator="cpu")

    def examples(start):
        return list(volume_examples(data, network, STAGE, fabric=fabric, seed=1, start=start))

    whole = examples(0)
    assert len(whole) == STAGE.num_steps * STAGE.accumulate
    assert whole[0][0].shape == (2, 1, 8, 6, 4)
    assert whole[0][1].shape == (2, 4, 3, 2)
    dense = Stage(num_steps=6, batch_size=2, accumulate=2, crop_size=(8, 6, 4), mirror=False)
    _, labels = next(volume_examples(data, network, dense, fabric=fabric, seed=1, start=0))
    assert torch.equal(labels[:, ::2, ::2, ::2], whole[0][1])
    for one, other in itertools.zip_longest(whole[8:], examples(4)):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
