import torch

from atrous.layers.pyramid import PyramidPooling
from atrous.models.catalog import build_network
from atrous.models.heads import TwoHeads


def test_pyramid_has_the_papers_sizes():
    """Figure 3: four grids, each of a quarter of the channels, are half of what is joined."""
    with torch.device("meta"):
        network = build_network("pspnet")
    assert isinstance(network, TwoHeads)
    pyramid = network.classifier[0]
    assert isinstance(pyramid, PyramidPooling)
    assert pyramid.channels == 2 * 2048
    assert sum(parameter.numel() for parameter in pyramid.parameters()) == 4 * (2048 * 512 + 2 * 512)
    assert [grid[0].output_size for grid in pyramid.grids] == [1, 2, 3, 6]  # type: ignore[index]


def test_auxiliary_head_reads_the_stage_before_the_last():
    with torch.device("meta"):
        network = build_network("pspnet", backbone="vgg16")
    assert isinstance(network, TwoHeads)
    assert network.auxiliary_geometry.receptive_field < network.receptive_field
    assert network.center == network.auxiliary_geometry.center == 3.5
