"""Stages are found by their stride."""

import pytest
import torch

from atrous.errors import ConfigError
from atrous.models.vgg import VGG16


def test_the_deepest_stage_at_a_stride_is_found():
    with torch.device("meta"):
        deep, dense = VGG16(output_stride=32), VGG16(output_stride=8)
    assert [deep.stage_at(stride) for stride in (2, 4, 8, 16, 32)] == [0, 1, 2, 3, 4]
    assert dense.stage_at(8) == 4
    with pytest.raises(ConfigError, match=r"at stride 2, 4, 8, 8, 8, and 16 is wanted; choose"):
        dense.stage_at(16)
