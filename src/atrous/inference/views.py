"""The sizes at which a network sees an image before its answers are averaged."""

from collections.abc import Iterator
from dataclasses import dataclass

from atrous.errors import ConfigError

LARGEST_SCALE = 10


@dataclass(frozen=True, slots=True)
class Views:
    """Each scale, and each mirrored where wanted; iterating gives pairs (scale, mirrored).

    >>> list(Views(scales=(1.0, 0.5), flip=True))
    [(1.0, False), (1.0, True), (0.5, False), (0.5, True)]

    Attributes:
        scales: Factors of the image's sides.
        flip: Also see each mirrored, left to right.

    Raises:
        ConfigError: If there is no scale, or one is not above 0 and below 10.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale < LARGEST_SCALE for scale in self.scales):
            raise ConfigError(
                f"scales {self.scales} must be positive factors below {LARGEST_SCALE}, at least one"
            )

    def __iter__(self) -> Iterator[tuple[float, bool]]:
        for scale in self.scales:
            yield from ((scale, mirrored) for mirrored in ((False, True) if self.flip else (False,)))
