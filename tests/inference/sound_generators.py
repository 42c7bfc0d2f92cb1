"""Small WaveNets, what they say by the whole network at once, and both ways to generate from them."""

import copy

import torch

from atrous.inference.generate import SoundGenerator
from atrous.inference.next_samples import StreamedSamples
from atrous.models.wavenet import WaveNet

DILATIONS = (1, 2, 4, 1, 3)


def small(*, num_conditions: int = 0, kernel_size: int = 2, channels: int = 6, seed: int = 0) -> WaveNet:
    torch.manual_seed(seed)
    network = WaveNet(
        dilations=DILATIONS, kernel_size=kernel_size, channels=channels, skip_channels=10,
        num_conditions=num_conditions,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0)  # so that samples hang on what was before them
    return network.eval()


def rounded(network: WaveNet) -> WaveNet:
    """The network with the matrices that the loops keep in bfloat16 rounded to it."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("weight") and not name.startswith("first") and ".condition." not in name:
                value.copy_(value.bfloat16().float())
    return network


@torch.no_grad()
def logits_before(network, codes, conditions=None):
    """By the whole network at once."""
    shown = None if conditions is None else torch.eye(network.num_conditions)[list(conditions)]
    return network(network.normalization.before(torch.from_numpy(codes), shown)).movedim(1, 2).numpy()


def generators(kind, network, **options) -> SoundGenerator:
    """By compiled loops, or by the stream that other networks are asked through."""
    generator = SoundGenerator(network, precision="float32", **options)
    if kind == "streamed":
        generator._next = StreamedSamples(network, torch.eye(2), num_sounds=2)
    return generator
