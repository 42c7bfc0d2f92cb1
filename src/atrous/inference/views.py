"""The sizes at which a network sees an image before its answers are averaged."""

from dataclasses import dataclass

from atrous.errors import ConfigError

LARGEST_SCALE = 10
LONGEST = 1_000_000  # px, beyond any image


@dataclass(frozen=True, slots=True)
class Views:
    """Each scale, and each mirrored where wanted.

    Attributes:
        scales: Factors of the image's sides.
        flip: Also see each mirrored, left to right.
        longest_side: Images with a longer side are first shrunk to so many pixels; 0 for never, None for what
            the checkpoint says, never if it says nothing.

    Raises:
        ConfigError: If there is no scale, or one is not above 0 and below 10, or no such side.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    longest_side: int | None = None

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale < LARGEST_SCALE for scale in self.scales):
            raise ConfigError(
                f"scales {self.scales} must be positive factors below {LARGEST_SCALE}, at least one"
            )
        if self.longest_side is not None and not 0 <= self.longest_side <= LONGEST:
            raise ConfigError(
                f"longest_side {self.longest_side} is none; give 0, for any, to {LONGEST:,} pixels"
            )

    @property
    def are_one(self) -> bool:
        """Whether images are seen once, and not mirrored."""
        return len(self.scales) == 1 and not self.flip

    @property
    def is_plain(self) -> bool:
        """Whether images of all sizes are seen once, as they are."""
        return self.are_one and self.scales == (1.0,) and not self.longest_side

    def of(self, size: tuple[int, int]) -> list[tuple[float, bool]]:
        """Pairs (scale, mirrored) for an image of this size (h, w).

        >>> Views(scales=(1.0, 0.5), flip=True).of((300, 400))
        [(1.0, False), (1.0, True), (0.5, False), (0.5, True)]
        >>> Views(longest_side=100).of((300, 400))
        [(0.25, False)]
        """
        first = min(1.0, self.longest_side / max(size)) if self.longest_side else 1.0
        mirrors = (False, True) if self.flip else (False,)
        return [(first * scale, mirrored) for scale in self.scales for mirrored in mirrors]
