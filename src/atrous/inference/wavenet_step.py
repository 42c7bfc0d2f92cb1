"""One sample of a WaveNet after the other, for several sounds at once: compiled loops on one thread.

A layer's dilated convolution reads what the layer below computed d samples ago. Kept in a ring, it is there
already (Le Paine et al. 2016), and a sample is one product of a vector and each weight matrix. In float32 the
0.75 million weights of these do not fit the caches close to a core; in 16 bits they are read faster.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from atrous.compiling import compiled
from atrous.inference.wavenet_tiles import TILE_COLUMNS, TILE_SOUNDS, add_tile_, widened

fused = partial(compiled, fuses=True)

NOTHING = -1  # in place of a code, before the first sample

# tanh is P(x^2) x / Q(x^2) to 4e-7 where it is not 1 in single precision: Eigen's rational approximation.
EDGE = np.float32(7.90531110763549805)
P = np.array((
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
), np.float32)  # fmt: skip
Q = np.array(
    (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03), np.float32
)
HALF = np.float32(0.5)
ZERO = np.float32(0)

Weights = Shaped[np.ndarray, "..."]
"""float32, or the upper 16 bits of one (bfloat16) as uint16; matrices are (channels in, channels out)."""


class Stack(NamedTuple):
    """The weights of a WaveNet of c channels and s skip channels, as the loops read them.

    Attributes:
        first: (levels + 1, c) of every code, bias included; the last row, of `NOTHING`, is the bias alone.
        dilated: (layers, taps * c, 2 c), the earliest tap first.
        gate_bias: (sounds, layers, 2 c), conditions included.
        joint: (layers, c, c + s) what is added to the features, and to the skips.
        joint_bias: (layers, c + s).
        hidden: (s, s).
        hidden_bias: (s,).
        final: (s, k).
        final_bias: (k,).
        dilations: (layers,) in samples.
        starts: (layers,) first cells of the layers' rings.
    """

    first: Float32[np.ndarray, "rows c"]
    dilated: Weights
    gate_bias: Float32[np.ndarray, "b layers c2"]
    joint: Weights
    joint_bias: Float32[np.ndarray, "layers cs"]
    hidden: Weights
    hidden_bias: Float32[np.ndarray, " s"]
    final: Weights
    final_bias: Float32[np.ndarray, " k"]
    dilations: Int64[np.ndarray, " layers"]
    starts: Int64[np.ndarray, " layers"]


class Past(NamedTuple):
    """What is kept between two samples; written in place.

    Attributes:
        ring: (cells, sounds, c) inputs of every layer's last (taps - 1) d samples.
        codes: (sounds,) the last sample's, or `NOTHING`.
        position: (1,) samples so far.
    """

    ring: Float32[np.ndarray, "cells b c"]
    codes: Int64[np.ndarray, " b"]
    position: Int64[np.ndarray, " one"]


@fused
def tanh(value: np.float32) -> np.float32:
    """In single precision, by products and sums alone, so that many are computed at once."""
    x = min(max(value, -EDGE), EDGE)
    y = x * x
    top = (((((P[0] * y + P[1]) * y + P[2]) * y + P[3]) * y + P[4]) * y + P[5]) * y + P[6]
    return x * top / (((Q[0] * y + Q[1]) * y + Q[2]) * y + Q[3])


@fused
def _add_product(sums: Any, vectors: Any, matrix: Any) -> None:
    """Add vectors (b, i) times the matrix (i, o) to sums (b, o): in tiles, and what is left over by rows."""
    tiled_sounds = sums.shape[0] // TILE_SOUNDS * TILE_SOUNDS
    tiled_columns = sums.shape[1] // TILE_COLUMNS * TILE_COLUMNS
    for column in range(0, tiled_columns, TILE_COLUMNS):
        for sound in range(0, tiled_sounds, TILE_SOUNDS):
            add_tile_(sums, vectors, matrix, sound, column)
    for sound in range(tiled_sounds):
        _add_rows(sums[sound, tiled_columns:], vectors[sound], matrix[:, tiled_columns:])
    for sound in range(tiled_sounds, len(sums)):
        _add_rows(sums[sound], vectors[sound], matrix)


@fused
def _add_rows(total: Any, vector: Any, matrix: Any) -> None:
    """Add a vector (i,) times the matrix (i, o) to sums (o,), four rows in a pass; in the order of a tile."""
    num_in = len(vector)
    for row in range(0, num_in - 3, 4):
        a, b, c, d = vector[row], vector[row + 1], vector[row + 2], vector[row + 3]
        first, second, third, fourth = matrix[row], matrix[row + 1], matrix[row + 2], matrix[row + 3]
        for column in range(len(total)):
            value = total[column] + widened(first[column]) * a
            value += widened(second[column]) * b
            value += widened(third[column]) * c
            total[column] = value + widened(fourth[column]) * d
    for row in range(num_in - num_in % 4, num_in):
        for column in range(len(total)):
            total[column] += widened(matrix[row, column]) * vector[row]


@fused
def _read_and_keep(taps: Any, features: Any, ring: Any, start: int, dilation: int, moment: int) -> None:
    """Fill in what a layer's taps read, the earliest first, and put the features in the earliest's place."""
    channels = features.shape[1]
    num_past = taps.shape[1] // channels - 1
    span = num_past * dilation
    for tap in range(num_past):
        earlier = ring[start + (moment + tap * dilation) % span]
        taps[:, tap * channels : (tap + 1) * channels] = earlier
    taps[:, num_past * channels :] = features
    if num_past:
        ring[start + moment % span] = features


@fused
def _gate(gated: Any, gates: Any) -> None:
    """Tanh of the first half times the logistic function of the second."""
    channels = len(gated)
    for channel in range(channels):
        gate = HALF + HALF * tanh(HALF * gates[channels + channel])
        gated[channel] = tanh(gates[channel]) * gate


@fused
def _rectify(values: Any) -> None:
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            values[row, column] = max(values[row, column], ZERO)


@fused
def run(
    stack: Stack,
    past: Past,
    given: Int64[np.ndarray, "b m"],
    noise: Float64[np.ndarray, "b n"],
    temperature: float,
    codes: Int64[np.ndarray, "b n"],
    logits: Float32[np.ndarray, "b n_or_0 k"],
) -> None:
    """Advance by n samples; fills in codes, and logits where there is room for them.

    Args:
        stack: The weights.
        past: Of the samples before; changed in place.
        given: Codes that the first m samples have, whatever the network says.
        noise: From 0 to 1, one number a sample: where in the distribution it falls.
        temperature: Of the softmax; 0 takes the likeliest code.
        codes: To fill in.
        logits: To fill in; none are kept where there is no room.
    """
    num_sounds, num_samples = codes.shape
    num_layers, taken, both = stack.dilated.shape
    channels = both // 2
    num_skips, num_codes = stack.final.shape
    taps = np.empty((num_sounds, taken), np.float32)
    gates = np.empty((num_sounds, both), np.float32)
    gated = np.empty((num_sounds, channels), np.float32)
    sums = np.empty((num_sounds, channels + num_skips), np.float32)
    features, skips = sums[:, :channels], sums[:, channels:]
    hidden = np.empty((num_sounds, num_skips), np.float32)
    scores = np.empty((num_sounds, num_codes), np.float32)
    for sample in range(num_samples):
        moment = past.position[0] + sample
        for sound in range(num_sounds):
            features[sound] = stack.first[past.codes[sound]]
            skips[sound] = ZERO
            hidden[sound] = stack.hidden_bias
            scores[sound] = stack.final_bias
        for layer in range(num_layers):
            _read_and_keep(taps, features, past.ring, stack.starts[layer], stack.dilations[layer], moment)
            gates[:] = stack.gate_bias[:, layer]
            _add_product(gates, taps, stack.dilated[layer])
            for sound in range(num_sounds):
                _gate(gated[sound], gates[sound])
                for channel in range(channels + num_skips):
                    sums[sound, channel] += stack.joint_bias[layer, channel]
            _add_product(sums, gated, stack.joint[layer])
        _rectify(sums)
        _add_product(hidden, skips, stack.hidden)
        _rectify(hidden)
        _add_product(scores, hidden, stack.final)
        for sound in range(num_sounds):
            if logits.shape[1]:
                logits[sound, sample] = scores[sound]
            if sample < given.shape[1]:
                code = given[sound, sample]
            else:
                code = _draw(scores[sound], noise[sound, sample], temperature)
            codes[sound, sample] = code
            past.codes[sound] = code
    past.position[0] += num_samples


@compiled
def _draw(scores: Any, noise: float, temperature: float) -> int:
    """The code in whose share of the softmax the noise falls, `NOTHING` of broken scores; uses these up."""
    largest, likeliest, broken = scores[0], 0, 0.0
    for code in range(len(scores)):
        broken += scores[code] * 0.0  # of NaN and infinity, NaN
    if broken != 0:
        return NOTHING
    for code in range(1, len(scores)):
        if scores[code] > largest:
            largest, likeliest = scores[code], code
    if temperature == 0:
        return likeliest
    total = 0.0
    for code in range(len(scores)):
        scores[code] = np.exp((scores[code] - largest) / temperature)
        total += scores[code]
    wanted, below = noise * total, 0.0
    for code in range(len(scores)):
        below += scores[code]
        if below > wanted:
            return code
    return likeliest  # the sum was rounded below what is wanted
