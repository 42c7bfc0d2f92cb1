"""What volumes are called."""

from pathlib import PurePosixPath

VOLUME_ENDINGS = (".nii", ".nii.gz")
"""Endings (lower case) of the files that count as volumes."""


def is_volume(name: str) -> bool:
    """Whether a file of this name is a volume.

    >>> is_volume("scan.NII.gz")
    True
    """
    return name.lower().endswith(VOLUME_ENDINGS)


def without_ending(name: PurePosixPath) -> PurePosixPath:
    """The name of a volume or image without `.nii.gz`, `.nii` or its one other ending.

    >>> str(without_ending(PurePosixPath("a.b/scan.nii.gz"))), str(without_ending(PurePosixPath("c.d.png")))
    ('a.b/scan', 'c.d')
    """
    bare = name.with_suffix("")
    return bare.with_suffix("") if is_volume(name.name) and bare.suffix.lower() == ".nii" else bare
