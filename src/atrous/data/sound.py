"""Sounds as one channel of samples at the rate that is wanted, from any file that libsndfile reads."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from atrous.data.sound_ends import refuse_cut
from atrous.errors import ConfigError, DataError
from atrous.files import write_atomically

ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
BLOCK = 1 << 18  # samples that are read at once
LOWEST_RATE, HIGHEST_RATE = 100, 1_000_000  # Hz; beyond any recorder of sound
MOST_SAMPLES = 1 << 28  # of a sound in memory: 1 GiB, 4 hours 39 minutes at 16 kHz
LONGEST_RATIO = 200_000  # of two rates in lowest terms; a filter as long costs 160 MB
TAPS_EACH_WAY = 10  # of the resampling filter, in samples of the lower rate; as scipy's

Samples = Float32[np.ndarray, " t"]


def is_sound(name: str) -> bool:
    """Whether a file is a sound by its name."""
    return name.lower().endswith(ENDINGS)


def read_sound(path: Path, *, sample_rate: int) -> Samples:
    """All samples of a file, its channels averaged, at a rate.

    Args:
        path: Of the file.
        sample_rate: Samples a second, Hz.

    Returns:
        From -1 to 1 where the file does not exceed that.

    Raises:
        DataError: If the file is missing, broken, cut short, empty, of more than `MOST_SAMPLES` at that rate,
            or holds values that are not finite.
        ConfigError: If the extra audio is not installed.
    """
    blocks, number = [], 0
    for block in read_blocks(path, sample_rate=sample_rate):
        number += len(block)
        _refuse_long(number, path)
        blocks.append(block)
    return np.concatenate(blocks)


def read_blocks(path: Path, *, sample_rate: int) -> Iterator[Samples]:
    """The same in blocks, whatever the length of the file: together they are the whole, resampled at once.

    Raises:
        DataError: As `read_sound`.
        ConfigError: As `read_sound`.
    """
    soundfile = _load_soundfile()
    _refuse_missing(path)
    refuse_cut(path)
    try:
        with soundfile.SoundFile(path) as file:
            _refuse_header(file, path)
            _refuse_ratio(file.samplerate, sample_rate, path)
            yield from _resampled(_mono(file, path), given=file.samplerate, wanted=sample_rate)
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, error) from error


def sample_rate_of(path: Path) -> int:
    """Samples a second of a file, Hz.

    Raises:
        DataError: If the file is missing or no sound.
        ConfigError: If the extra audio is not installed.
    """
    return _header_of(path).samplerate


def num_samples_of(path: Path, *, sample_rate: int) -> int:
    """Samples that `read_sound` gives, by the header of the file.

    Raises:
        DataError: If the file is missing or no sound, or they are more than `MOST_SAMPLES`.
        ConfigError: If the extra audio is not installed.
    """
    about = _header_of(path)
    number = -(-about.frames * sample_rate // about.samplerate)
    _refuse_long(number, path)
    return number


def write_sound(path: Path, samples: Samples, *, sample_rate: int) -> None:
    """Write samples from -1 to 1 as a WAV of 16 bits.

    Raises:
        OutputError: If the file cannot be written.
        ConfigError: If the extra audio is not installed.
    """
    soundfile = _load_soundfile()
    write_atomically(
        path, lambda part: soundfile.write(part, samples, sample_rate, subtype="PCM_16", format="WAV")
    )


def refuse_broken_header(path: Path) -> None:
    """Refuse, without reading its samples, a sound that is missing, cut short, empty, or none.

    Raises:
        DataError: If it is one.
        ConfigError: If the extra audio is not installed.
    """
    _header_of(path)
    refuse_cut(path)


def _header_of(path: Path) -> Any:
    """Rate, frames and more of a file.

    Raises:
        DataError: If the file is missing or no sound.
        ConfigError: If the extra audio is not installed.
    """
    soundfile = _load_soundfile()
    _refuse_missing(path)
    try:
        about = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, error) from error
    _refuse_header(about, path)
    return about


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"no sound at {path}; give the path of a file such as speech.wav")


def _refuse_header(about: Any, path: Path) -> None:
    if about.frames == 0:
        raise DataError(f"{path} holds no samples; leave it out")
    if not LOWEST_RATE <= about.samplerate <= HIGHEST_RATE:
        raise DataError(
            f"{path} has {about.samplerate:,} samples a second by its header, which is broken; rates "
            f"of {LOWEST_RATE:,} to {HIGHEST_RATE:,} are read"
        )


def _refuse_long(number: int, path: Path) -> None:
    if number > MOST_SAMPLES:
        raise DataError(
            f"{path} has {number:,} samples or more at the rate that is wanted, and up to {MOST_SAMPLES:,} "
            "are taken; cut it into parts"
        )


def _refuse_ratio(given: int, wanted: int, path: Path) -> None:
    if max(given, wanted) // math.gcd(given, wanted) > LONGEST_RATIO:
        raise DataError(
            f"{path} has {given:,} samples a second, which have too little in common with {wanted:,} to be "
            "resampled; save it at a usual rate"
        )


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())
    return DataError(f"{path} is no sound that can be read ({reason}); save it anew, as WAV")


def _mono(file: Any, path: Path) -> Iterator[Samples]:
    """Blocks of a file with its channels averaged."""
    read = 0
    for block in file.blocks(max(1, BLOCK // file.channels), dtype="float32", always_2d=True):
        read += len(block)
        if not np.isfinite(block).all():
            raise DataError(f"{path} holds samples that are not finite; save it anew")
        yield block.mean(1)
    if read < file.frames:
        raise DataError(f"{path} ends after {read:,} of {file.frames:,} samples; copy it again")


def _resampled(blocks: Iterator[Samples], *, given: int, wanted: int) -> Iterator[Samples]:
    """Blocks at another rate, by scipy's polyphase filter: together exactly those of the whole at once.

    A block is filtered with as many samples before and behind it as the filter is long; these are cut off.
    """
    if given == wanted:
        yield from blocks
        return
    from scipy.signal import resample_poly

    common = math.gcd(given, wanted)
    up, down = wanted // common, given // common
    around = down * -(-(TAPS_EACH_WAY * max(up, down) + up) // (up * down))  # samples, a multiple of down
    step = down * max(1, BLOCK // max(up, down))
    held = np.empty(0, np.float32)  # from `around` before the next sample that is wanted, or the start
    before = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= before + step + around:
            part = resample_poly(held[: before + step + around], up, down)
            first = before * up // down
            yield part[first : first + step * up // down].astype(np.float32)
            kept = min(around, before + step)
            held = held[before + step - kept :]
            before = kept
    part = resample_poly(held, up, down)
    yield part[before * up // down :].astype(np.float32)


def _load_soundfile() -> Any:
    """The package.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise ConfigError(f'sounds need soundfile ({error}): pip install "atrous[audio]"') from error
    return soundfile
