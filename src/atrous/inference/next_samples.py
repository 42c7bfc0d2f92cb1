"""What a generator of sound asks for the samples that follow: any causal network, by its stream."""

from abc import ABC, abstractmethod
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from atrous.errors import ConfigError
from atrous.inference.stream import Stream
from atrous.models.companding import Companding
from atrous.models.contract import DenseNetwork

NOT_FINITE = "the network's outputs are not finite, so no sample can be drawn; train it again"

Codes = Int64[np.ndarray, "b n"]
Given = Int64[np.ndarray, "b m"]
Noise = Float64[np.ndarray, "b n"]


class NextSamples(ABC):
    """Samples one after the other, each read by the network before the next is drawn."""

    @abstractmethod
    def advance(
        self, given: Given, noise: Noise, *, temperature: float, keeps_logits: bool = False
    ) -> tuple[Codes, Float32[np.ndarray, "b _kept k"]]:
        """As many codes as there are numbers of noise, the first of them as given.

        Args:
            given: Codes that the first samples have, whatever the network says.
            noise: From 0 to 1: where in the distribution each sample falls.
            temperature: Of the softmax; 0 takes the likeliest code.
            keeps_logits: Whether to return the logits before each code; otherwise none.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """All that is kept between two samples."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there.

        Raises:
            ConfigError: If the state is that of another network.
        """


@final
class StreamedSamples(NextSamples):
    """By `Stream`, a sample a push: any network that `atrous.trace` can trace.

    Args:
        network: Causal, of one-hot codes and conditions.
        conditions: Of the sounds; None for a network without.
        num_sounds: At once.

    Raises:
        ConfigError: If the network reads ahead.
        GeometryError: If it cannot be streamed.
    """

    def __init__(
        self, network: DenseNetwork, conditions: Float[Tensor, "b n"] | None, *, num_sounds: int
    ) -> None:
        assert isinstance(network.normalization, Companding)
        self._levels = network.normalization.levels
        self._conditions = torch.zeros(num_sounds, 0) if conditions is None else conditions
        self._stream = Stream(network, torch.zeros(num_sounds, network.num_channels, 64), axis=-1)
        self._shown = torch.zeros(num_sounds, self._levels)
        self._num_classes = network.num_classes

    def advance(
        self, given: Given, noise: Noise, *, temperature: float, keeps_logits: bool = False
    ) -> tuple[Codes, Float32[np.ndarray, "b _kept k"]]:
        """See `NextSamples.advance`.

        Raises:
            ConfigError: If the network reads ahead, or its outputs are not finite.
        """
        num_sounds, num_samples = noise.shape
        codes = np.empty((num_sounds, num_samples), np.int64)
        logits = np.empty((num_sounds, num_samples if keeps_logits else 0, self._num_classes), np.float32)
        for sample in range(num_samples):
            scores = self._stream.push(torch.cat([self._shown, self._conditions], dim=1)[..., None])
            if scores.shape[-1] != 1:
                raise ConfigError(
                    "the network reads samples ahead of the one it speaks of, and generates none; give a "
                    "causal one"
                )
            if not scores.isfinite().all():
                raise ConfigError(NOT_FINITE)
            if keeps_logits:
                logits[:, sample] = scores[..., 0].numpy()
            if sample < given.shape[1]:
                codes[:, sample] = given[:, sample]
            else:
                codes[:, sample] = draw(scores[..., 0], noise[:, sample], temperature=temperature)
            self._shown.zero_().scatter_(1, torch.from_numpy(codes[:, sample, None]), 1.0)
        return codes, logits

    def state_dict(self) -> dict[str, Tensor]:
        """Of the stream, and the last sample."""
        return {**self._stream.state_dict(), "shown": self._shown.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there.

        Raises:
            ConfigError: If the state is that of another network.
        """
        self._stream.load_state_dict(state)
        self._shown = state["shown"].clone()


def draw(
    scores: Float[Tensor, "b k"], noise: Float64[np.ndarray, " b"], *, temperature: float
) -> Int64[np.ndarray, " b"]:
    """The codes in whose share of the softmax the noise falls; the likeliest at temperature 0."""
    if temperature == 0:
        return scores.argmax(1).numpy()
    shares = (scores.double() / temperature).softmax(1).cumsum(1)
    wanted = torch.from_numpy(noise)[:, None].contiguous()
    return torch.searchsorted(shares, wanted, right=True)[:, 0].clamp(max=scores.shape[1] - 1).numpy()
