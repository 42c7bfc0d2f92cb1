"""Middlebury's .flo files of optical flow."""

import struct
from pathlib import Path

import numpy as np

from atrous.data.quantity import Values
from atrous.errors import DataError
from atrous.files import write_atomically

_TAG = 202021.25  # "PIEH" as a little-endian float32; Middlebury's flow-code, 2007
_UNKNOWN = 1e9  # px; beyond it a vector is unknown
_UNKNOWN_VALUE = 1e10


def read_flo(path: Path) -> Values:
    """Flow (2, h, w) in pixels, right and down; NaN where it is unknown.

    Raises:
        DataError: If the file is missing, cut short, or no .flo.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); check the name") from error
    if len(content) < 12 or struct.unpack_from("<f", content)[0] != _TAG:
        raise DataError(f"{path} does not begin as Middlebury's .flo does; write u and v as such a file")
    width, height = struct.unpack_from("<ii", content, 4)
    if min(width, height) < 1 or len(content) != 12 + 8 * width * height:
        raise DataError(
            f"{path} says {width} x {height} px, which takes {12 + 8 * width * height} bytes, and has "
            f"{len(content)}; make it anew"
        )
    flow = np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2).transpose(2, 0, 1)
    known = (np.abs(flow) < _UNKNOWN).all(0)
    return np.where(known, flow, np.float32(np.nan)).astype(np.float32)


def write_flo(path: Path, flow: Values) -> None:
    """Write flow (2, h, w); NaN becomes what stands for unknown. The file appears whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    _, height, width = flow.shape
    known = np.where(np.isfinite(flow).all(0), flow, np.float32(_UNKNOWN_VALUE)).astype("<f4")
    content = struct.pack("<fii", _TAG, width, height) + known.transpose(1, 2, 0).tobytes()
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
