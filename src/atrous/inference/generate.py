"""Sound sample by sample: what a causal network says comes next is drawn, and read by it in turn."""

import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from atrous.errors import ConfigError, ShapeError
from atrous.inference.next_samples import Codes, Given, NextSamples, StreamedSamples
from atrous.inference.wavenet_samples import WaveNetSamples
from atrous.models.companding import Companding
from atrous.models.contract import DenseNetwork
from atrous.models.wavenet import WaveNet
from atrous.ops.mulaw import mulaw_decode

Conditions = Sequence[int] | Int[np.ndarray, " b"] | Int[Tensor, " b"]
"""The number of a condition for each sound."""


class SoundGenerator:
    """Sounds under way, as many at once as there are conditions.

    Exact: the logits before each sample are those of `network` on all samples before it. A seed's sound of a
    condition (its first, its second ...) is the same whatever is made beside it, and in whatever pieces.

    Args:
        network: Causal, of mu-law codes.
        conditions: A class each sound, of networks that have them.
        num_sounds: At once, where there are no conditions.
        seed: Of what is drawn.
        temperature: The logits are divided by it: below 1 for likelier samples, 0 for the likeliest.
        precision: Of the weights of a WaveNet, "bfloat16" or "float32"; sums are float32.

    Raises:
        ConfigError: If the network generates no sound, a weight is not finite, or a setting does not fit it.
        GeometryError: If the network cannot be streamed.
    """

    def __init__(
        self,
        network: DenseNetwork,
        *,
        conditions: Conditions | None = None,
        num_sounds: int = 1,
        seed: int = 0,
        temperature: float = 1.0,
        precision: Literal["bfloat16", "float32"] = "bfloat16",
    ) -> None:
        self.companding = _companding_of(network)
        if not 0 <= temperature < float("inf"):
            raise ConfigError(f"temperature is {temperature}; give a finite number from 0 on, 1 as trained")
        if precision not in ("bfloat16", "float32"):
            raise ConfigError(f'precision is "{precision}"; give "bfloat16" or "float32"')
        self.seed = _whole(seed, "seed")
        self.temperature = float(temperature)
        numbers = None if conditions is None else _numbers(conditions)
        self.num_sounds = _whole(num_sounds, "num_sounds", least=1) if numbers is None else len(numbers)
        self.position = 0
        self._keys = _keys(numbers, self.num_sounds)
        shown = _one_hot(numbers, network)
        self._next: NextSamples
        if isinstance(network, WaveNet) and network.is_causal:
            self._next = WaveNetSamples(network, shown, num_sounds=self.num_sounds, precision=precision)
        else:
            self._next = StreamedSamples(network, shown, num_sounds=self.num_sounds)

    def take(self, num_samples: int) -> Float32[np.ndarray, "b n"]:
        """The next samples, from -1 to 1.

        Raises:
            ConfigError: If the network reads ahead, or its outputs are not finite.
        """
        return mulaw_decode(
            torch.from_numpy(self.take_codes(num_samples)), levels=self.companding.levels
        ).numpy()

    def take_codes(self, num_samples: int) -> Codes:
        """The next samples as mu-law codes.

        Raises:
            ConfigError: As `take`.
        """
        nothing = np.empty((self.num_sounds, 0), np.int64)
        return self._advance(nothing, _whole(num_samples, "num_samples"))[0]

    def feed(self, codes: np.ndarray, *, keeps_logits: bool = False) -> Float32[np.ndarray, "b _kept k"]:
        """Go on as if these samples had been drawn; returns the logits before each of them, where wanted.

        Raises:
            ShapeError: If they are of more or fewer sounds, or not codes.
        """
        codes = np.asarray(codes)
        if codes.ndim != 2 or len(codes) != self.num_sounds or codes.dtype.kind not in "iu":
            raise ShapeError(
                f"codes {codes.dtype} {codes.shape} are not those of {self.num_sounds} sounds; give whole "
                "numbers (sounds, n)"
            )
        if codes.size and not 0 <= codes.min() <= codes.max() < self.companding.levels:
            raise ShapeError(
                f"codes from {codes.min()} to {codes.max()} are none; they lie in 0 .. "
                f"{self.companding.levels - 1}"
            )
        return self._advance(codes.astype(np.int64), codes.shape[1], keeps_logits=keeps_logits)[1]

    def state_dict(self) -> dict[str, Tensor]:
        """All that `load_state_dict` needs to go on from here, of the same network and conditions."""
        own = {"position": torch.tensor(self.position), "sounds": torch.tensor(self._checksum())}
        return {**own, **{f"next.{name}": value for name, value in self._next.state_dict().items()}}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from where `state_dict` was taken.

        Raises:
            ConfigError: If the state is that of another network, seed or condition, or is damaged.
        """
        if not {"position", "sounds"} <= state.keys() or int(state["position"]) < 0:
            raise ConfigError("the state lacks its position; give what state_dict returned")
        if int(state["sounds"]) != self._checksum():
            raise ConfigError("the state is of sounds of another seed or other conditions; give its own")
        self._next.load_state_dict({name[5:]: value for name, value in state.items() if name[:5] == "next."})
        self.position = int(state["position"])

    def _checksum(self) -> int:
        """Of what tells these sounds from others of the network."""
        return zlib.crc32(repr((self.seed, self._keys)).encode())

    def _advance(
        self, given: Given, num_samples: int, *, keeps_logits: bool = False
    ) -> tuple[Codes, Float32[np.ndarray, "b _kept k"]]:
        noise = np.stack([self._noise(key, num_samples) for key in self._keys])
        advanced = self._next.advance(given, noise, temperature=self.temperature, keeps_logits=keeps_logits)
        self.position += num_samples
        return advanced

    def _noise(self, key: tuple[int, int], num_samples: int) -> np.ndarray:
        """Where in its distribution each next sample falls: a function of seed, sound and position."""
        bits = np.random.PCG64(np.random.SeedSequence((self.seed, *key)))
        bits.advance(self.position)
        return np.random.Generator(bits).random(num_samples)


def generate(
    network: DenseNetwork,
    *,
    num_samples: int,
    seed: int = 0,
    conditions: Conditions | None = None,
    temperature: float = 1.0,
) -> Float32[np.ndarray, "b n"]:
    """Sounds from nothing, sample by sample.

    van den Oord et al. 2016, by the cached computation of Le Paine et al. 2016. `SoundGenerator` makes them
    in pieces, goes on from a recording, and can be saved.

    Args:
        network: Causal, of mu-law codes, such as `build_network("wavenet")`.
        num_samples: Of each sound.
        seed: Of what is drawn.
        conditions: A class each sound, of networks that have them; one sound unless given.
        temperature: The logits are divided by it; 0 takes the likeliest sample.

    Returns:
        Samples from -1 to 1, `network.normalization.sample_rate` a second.

    Raises:
        ConfigError: As `SoundGenerator`.
        GeometryError: As `SoundGenerator`.
    """
    generator = SoundGenerator(network, conditions=conditions, seed=seed, temperature=temperature)
    return generator.take(num_samples)


def _companding_of(network: DenseNetwork) -> Companding:
    companding = network.normalization
    if not isinstance(companding, Companding) or network.num_classes != companding.levels:
        raise ConfigError(
            f"{type(network).__name__} says no next sample of a sound; give a network such as wavenet, whose "
            "classes are the codes that it reads"
        )
    if broken := [name for name, value in network.named_parameters() if not value.isfinite().all()]:
        raise ConfigError(f"weights of the network are not finite, such as {broken[0]}; train it again")
    return companding


def _whole(value: object, name: str, *, least: int = 0) -> int:
    """A whole number that is not too small.

    Raises:
        ConfigError: If it is something else.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} is {value!r}; give a whole number from {least} on")
    return int(value)


def _numbers(conditions: object) -> tuple[int, ...]:
    """Conditions as whole numbers, of a sequence, an array or a tensor.

    Raises:
        ConfigError: If they are something else.
    """
    if isinstance(conditions, np.ndarray | Tensor):
        conditions = conditions.tolist()
    if not isinstance(conditions, Sequence) or isinstance(conditions, str):
        raise ConfigError(f"conditions are {conditions!r}; give a number for each sound, such as [7, 3]")
    return tuple(_whole(condition, "a condition") for condition in conditions)


def _keys(numbers: Sequence[int] | None, num_sounds: int) -> tuple[tuple[int, int], ...]:
    """What the noise of each sound hangs on: its condition, and how many of that one are before it."""
    if numbers is None:
        return tuple((0, sound) for sound in range(num_sounds))
    return tuple((number, list(numbers[:place]).count(number)) for place, number in enumerate(numbers))


def _one_hot(conditions: Sequence[int] | None, network: DenseNetwork) -> Float[Tensor, "b n"] | None:
    """Conditions as the network reads them."""
    assert isinstance(network.normalization, Companding)
    known = network.num_channels - network.normalization.levels
    if conditions is None and not known:
        return None
    if conditions is None or not conditions or not all(0 <= condition < known for condition in conditions):
        range_of = f"one of 0 .. {known - 1} for each sound" if known else "none"
        given = None if conditions is None else list(conditions)
        raise ConfigError(f"conditions are {given}, and the network knows {known}; give {range_of}")
    return torch.eye(known)[list(conditions)]
