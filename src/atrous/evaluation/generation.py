"""How well a generator foresees sounds: the bits that each sample still takes, given all before it.

Everything is summed first (`Bits`), which adds up over sounds and processes. The yardstick is what a sample
takes where only the shares of the codes are known, and these are those of the very sounds that are scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.nn import functional

from atrous.data.voice import Recording, Recordings, Voice
from atrous.errors import DataError
from atrous.inference.engine import Engine, refuse_not_finite
from atrous.models.companding import Companding
from atrous.models.contract import DenseNetwork
from atrous.ops.mulaw import mulaw_encode


@dataclass(frozen=True, slots=True, eq=False)
class Bits:
    """What was counted; add those of sounds or processes with `+`.

    Attributes:
        taken: (1,) bits that all samples took.
        codes: (levels,) how often each code occurred.
    """

    taken: Float64[np.ndarray, " one"]
    codes: Int64[np.ndarray, " levels"]

    def __add__(self, other: "Bits") -> "Bits":
        return Bits(self.taken + other.taken, self.codes + other.codes)

    @classmethod
    def zeros(cls, voice: Voice) -> "Bits":
        """Of no sound."""
        return cls(np.zeros(1), np.zeros(voice.levels, np.int64))


@dataclass(frozen=True, slots=True)
class GenerationScores:
    """How well a generator foresees sounds.

    Attributes:
        bits: That a sample takes, given all samples before it and the condition; the mean over samples.
        unigram_bits: That it takes where only the shares of the codes are known.
        num_samples: Scored.
    """

    bits: float
    unigram_bits: float
    num_samples: int

    @classmethod
    def from_bits(cls, total: Bits) -> "GenerationScores":
        """Scores of everything counted.

        Raises:
            DataError: If there was no sample.
        """
        number = int(total.codes.sum())
        if number == 0:
            raise DataError("the sounds have no samples, so nothing can be scored; choose another split")
        shares = total.codes[total.codes > 0] / number
        return cls(float(total.taken[0]) / number, float(-(shares * np.log2(shares)).sum()), number)

    @property
    def figure(self) -> float:
        """The score that decides; smaller is better."""
        return self.bits

    @property
    def goodness(self) -> float:
        """Larger is better."""
        return -self.bits

    @property
    def headline(self) -> tuple[str, str]:
        """Name and text of the score that decides."""
        return "bits a sample", f"{self.bits:.3f}"

    def to_dict(self) -> dict[str, object]:
        """The scores by name, ready for JSON."""
        return {"bits": self.bits, "unigram_bits": self.unigram_bits, "num_samples": self.num_samples}

    @classmethod
    def from_dict(cls, fields: dict[str, object]) -> "GenerationScores":
        """The inverse of `to_dict`."""
        names = ("bits", "unigram_bits", "num_samples")
        bits, unigram, number = (float(fields[name]) for name in names)  # type: ignore[arg-type]
        return cls(bits, unigram, int(number))

    def to_table(self) -> str:
        """The scores as text, one a line."""
        return (
            f"bits a sample               {self.bits:>7.3f}\n"
            f"by the shares of the codes  {self.unigram_bits:>7.3f}\n"
            f"samples                     {self.num_samples:>7,}"
        )


def count_each(
    network: DenseNetwork,
    engine: Engine,
    dataset: Recordings,
    *,
    device: torch.device,
    indices: Sequence[int] | None = None,
) -> Iterator[Bits]:
    """The bits of one sound after the other; their sum makes the scores.

    Args:
        network: A causal generator of the data set's voice.
        engine: What computes it.
        dataset: At least one sound.
        device: Of the network.
        indices: Numbers of the sounds; all unless given.

    Raises:
        DataError: If there is no sound, or one cannot be read.
    """
    if len(dataset) == 0:
        raise DataError("the data set has no sounds; choose another split")
    for index in range(len(dataset)) if indices is None else indices:
        yield _bits_of(network, engine, dataset[index], voice=dataset.voice, device=device)


@torch.inference_mode()
def _bits_of(
    network: DenseNetwork, engine: Engine, recording: Recording, *, voice: Voice, device: torch.device
) -> Bits:
    assert isinstance(network.normalization, Companding)
    codes = mulaw_encode(torch.from_numpy(recording.samples)[None], levels=voice.levels).to(device)
    shown = network.normalization.before(codes, one_hot_of(voice, [recording.condition], device=device))
    logits = refuse_not_finite(engine(shown))
    taken = functional.cross_entropy(logits, codes, reduction="sum").double() / np.log(2)
    counted = np.bincount(codes.cpu().numpy().ravel(), minlength=voice.levels)
    return Bits(np.array([float(taken)]), counted)


def one_hot_of(voice: Voice, conditions: Sequence[int | None], *, device: torch.device) -> Tensor | None:
    """Conditions (b, n) as a network reads them; None where the voice has none."""
    if not voice.conditions:
        return None
    return torch.eye(len(voice.conditions), device=device)[[int(number or 0) for number in conditions]]
