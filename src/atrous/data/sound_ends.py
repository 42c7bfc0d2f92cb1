"""Files of sound that end too early: readers give what is left, and say nothing."""

from pathlib import Path
from typing import BinaryIO

from atrous.errors import DataError

UNKNOWN = 0xFFFFFFFF  # a length that a stream did not know
HEAD = 8192  # bytes in which an MP3 says how long it is
LAST_PAGE = 65_307  # bytes, the longest page of an Ogg


def refuse_cut(path: Path) -> None:
    """Refuse a file that holds less than it promises: WAV, RF64, W64, AIFF, Ogg, and MP3 with a count.

    What has no such promise, or is none of these, passes; FLAC tells by itself when it is read.

    Raises:
        DataError: If it is one.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        promised = _promised(file, size)
    if promised is None:
        raise DataError(f"{path} is cut short: its last page is missing; copy it again, or save it anew")
    if promised > size:
        raise DataError(f"{path} is cut short: {size:,} of {promised:,} bytes are there; copy it again")


def _promised(file: BinaryIO, size: int) -> int | None:
    """Bytes that the file should have; 0 where it does not say, None where its end is not there."""
    head = file.read(HEAD)
    kind = head[:4]
    if kind == b"RIFF" and head[8:12] == b"WAVE":
        return _end_of_data(file)
    if kind == b"RF64" and head[12:16] == b"ds64":
        return int.from_bytes(head[20:28], "little") + 8
    if kind == b"riff":  # Sony's W64
        return int.from_bytes(head[16:24], "little")
    if kind == b"FORM":
        return int.from_bytes(head[4:8], "big") + 8
    if kind == b"OggS":
        return 0 if _has_last_page(file, size) else None
    return _end_of_mp3(head)


def _end_of_data(file: BinaryIO) -> int:
    """The end of a WAV's samples; chunks behind them may be missing."""
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        length = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            return 0 if length == UNKNOWN else file.tell() + length
        file.seek(length + length % 2, 1)
    return 0


def _has_last_page(file: BinaryIO, size: int) -> bool:
    """Whether an Ogg ends with a page that says so."""
    file.seek(max(0, size - LAST_PAGE))
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


def _end_of_mp3(head: bytes) -> int:
    """The end of an MP3 whose first frame counts its bytes (Xing's header, or LAME's Info)."""
    places = [place for mark in (b"Xing", b"Info") if (place := head.find(mark)) > 0]
    if not places or not (head[:3] == b"ID3" or head[0] == 0xFF):
        return 0
    place = min(places)
    flags = int.from_bytes(head[place + 4 : place + 8], "big")
    if not flags & 2:
        return 0
    at = place + 8 + (4 if flags & 1 else 0)
    start = head.rfind(b"\xff", 0, place)  # of the frame
    return start + int.from_bytes(head[at : at + 4], "big")
