"""A WaveNet's samples by compiled loops: its weights as these read them, and what they keep."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.inference.next_samples import NOT_FINITE, Codes, Given, NextSamples, Noise
from atrous.inference.wavenet_step import NOTHING, Past, Stack, Weights, run
from atrous.models.wavenet import GatedLayer, WaveNet


@final
class _Group:
    """Neighboring sounds that one thread computes: their part of the weights, and of what is kept."""

    def __init__(self, sounds: slice, stack: Stack, past: Past) -> None:
        self.sounds = sounds
        self.stack = stack._replace(gate_bias=np.ascontiguousarray(stack.gate_bias[sounds]))
        ring = np.ascontiguousarray(past.ring[:, sounds])
        self.past = Past(ring, past.codes[sounds].copy(), past.position.copy())


@final
class WaveNetSamples(NextSamples):
    """By compiled loops; several sounds are shared out among torch's number of threads.

    Args:
        network: Causal; its weights are copied.
        conditions: Of the sounds; None for a network without.
        num_sounds: At once.
        precision: Of the matrices of the layers and after: "float32", or "bfloat16", with sums in float32.
    """

    def __init__(
        self,
        network: WaveNet,
        conditions: Float[Tensor, "b n"] | None,
        *,
        num_sounds: int,
        precision: Literal["float32", "bfloat16"],
    ) -> None:
        stack = _stack_of(network, conditions, num_sounds=num_sounds, precision=precision)
        taps = network.gated_layers()[0].dilated.kernel_size[0]
        cells = (taps - 1) * int(stack.dilations.sum())
        ring = np.zeros((cells, num_sounds, stack.first.shape[1]), np.float32)
        past = Past(ring, np.full(num_sounds, NOTHING), np.zeros(1, np.int64))
        edges = np.linspace(0, num_sounds, min(num_sounds, torch.get_num_threads()) + 1).astype(int)
        self._groups = tuple(_Group(slice(*ends), stack, past) for ends in pairwise(edges))
        self._num_codes = len(stack.final_bias)

    def advance(
        self, given: Given, noise: Noise, *, temperature: float, keeps_logits: bool = False
    ) -> tuple[Codes, Float32[np.ndarray, "b _kept k"]]:
        """See `NextSamples.advance`.

        Raises:
            ConfigError: If the network's outputs are not finite.
        """
        num_sounds, num_samples = noise.shape
        codes = np.empty((num_sounds, num_samples), np.int64)
        kept = num_samples if keeps_logits else 0
        logits = np.empty((num_sounds, kept, self._num_codes), np.float32)

        def advance(group: _Group) -> None:
            own = group.sounds
            run(group.stack, group.past, given[own], noise[own], float(temperature), codes[own], logits[own])

        if len(self._groups) == 1:
            advance(self._groups[0])
        else:
            with ThreadPoolExecutor(len(self._groups)) as threads:  # the loops hold no lock of Python's
                list(threads.map(advance, self._groups))
        if (codes < 0).any():
            raise ConfigError(NOT_FINITE)
        return codes, logits

    def state_dict(self) -> dict[str, Tensor]:
        """The rings, the last sample and the number of samples."""
        pasts = [group.past for group in self._groups]
        state = Past(
            np.concatenate([past.ring for past in pasts], axis=1),
            np.concatenate([past.codes for past in pasts]),
            pasts[0].position.copy(),
        )
        return {name: torch.from_numpy(value) for name, value in state._asdict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there.

        Raises:
            ConfigError: If the state is that of another network, or of another number of sounds.
        """
        own = self.state_dict()
        if state.keys() != own.keys() or any(state[name].shape != own[name].shape for name in own):
            raise ConfigError(
                "the state is that of another network, or of more or fewer sounds; give its own"
            )
        codes = state["codes"]
        if not state["ring"].isfinite().all() or codes.min() < NOTHING or codes.max() >= self._num_codes:
            raise ConfigError("the state is damaged: it holds values that no sound has; generate anew")
        for group in self._groups:
            group.past.ring[:] = state["ring"][:, group.sounds].numpy()
            group.past.codes[:] = state["codes"][group.sounds].numpy()
            group.past.position[:] = state["position"].numpy()


def _stack_of(
    network: WaveNet,
    conditions: Float[Tensor, "b n"] | None,
    *,
    num_sounds: int,
    precision: Literal["float32", "bfloat16"],
) -> Stack:
    """The weights as the loops read them."""
    layers = network.gated_layers()
    channels = network.first.out_channels
    silent = torch.zeros(channels, channels), torch.zeros(channels)  # what the last layer adds to its input
    residuals = [silent if layer.residual is None else _linear(layer.residual) for layer in layers]
    skips = [_linear(layer.skip) for layer in layers]
    pairs = list(zip(residuals, skips, strict=True))
    first, first_bias = _linear(network.first)
    hidden, final = _linear(network.hidden), _linear(network.final)
    dilations = np.array([layer.dilated.dilation[0] for layer in layers])
    spans = dilations * (layers[0].dilated.kernel_size[0] - 1)
    return Stack(
        first=_plain(torch.cat([first + first_bias, first_bias[None]])),
        dilated=_stored([layer.dilated.weight.permute(2, 1, 0).flatten(0, 1) for layer in layers], precision),
        gate_bias=_plain(torch.stack([_gate_bias(layer, conditions, num_sounds) for layer in layers], dim=1)),
        joint=_stored([torch.cat([matrix for matrix, _ in pair], dim=1) for pair in pairs], precision),
        joint_bias=_plain(torch.stack([torch.cat([bias for _, bias in pair]) for pair in pairs])),
        hidden=_stored([hidden[0]], precision)[0],
        hidden_bias=_plain(hidden[1]),
        final=_stored([final[0]], precision)[0],
        final_bias=_plain(final[1]),
        dilations=dilations,
        starts=np.cumsum(spans) - spans,
    )


def _gate_bias(
    layer: GatedLayer, conditions: Float[Tensor, "b n"] | None, num_sounds: int
) -> Float[Tensor, "b c2"]:
    assert layer.dilated.bias is not None
    bias = layer.dilated.bias.expand(num_sounds, -1)
    if conditions is None or layer.condition is None:
        return bias
    return bias + layer.condition(conditions[..., None])[..., 0]


def _linear(conv: nn.Conv1d) -> tuple[Float[Tensor, "i o"], Float[Tensor, " o"]]:
    """A 1x1 convolution as a matrix and a bias."""
    assert conv.bias is not None
    return conv.weight[:, :, 0].T, conv.bias


def _plain(values: Tensor) -> Float32[np.ndarray, "..."]:
    return np.ascontiguousarray(values.detach().float().numpy())


def _stored(matrices: Sequence[Tensor], precision: str) -> Weights:
    """The matrices behind each other, in float32 or the 16 bits of bfloat16."""
    stacked = torch.stack(list(matrices)).detach().contiguous()
    if precision == "float32":
        return stacked.float().numpy()
    return stacked.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
