"""How a label map was made, noted in the PNG itself: it can be neither lost nor mistaken for another's."""

import struct

from PIL.PngImagePlugin import PngInfo

NOTE_WITHIN = 4096
"""Bytes at the start of a label map in which its note lies: before the pixels."""

KEYWORD = "atrous"
"""Under which formats with named texts carry the note."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def with_note(note: str) -> PngInfo:
    """What Pillow is to write beside the pixels: a note of some hundred letters, ASCII; nothing if empty."""
    info = PngInfo()
    if note:
        info.add_text(KEYWORD, note)
    return info


def note_chunk(note: str) -> tuple[bytes, bytes]:
    """Kind and content of the part of a PNG that carries a note."""
    return b"tEXt", KEYWORD.encode() + b"\0" + note.encode("latin-1")


def read_note(head: bytes) -> str:
    """The note in the first `NOTE_WITHIN` bytes of a file; empty without one, or in what is no PNG.

    Read without Pillow, which refuses maps of many pixels for fear of their decompression.
    """
    start = len(_SIGNATURE)
    if not head.startswith(_SIGNATURE):
        return ""
    while start + 8 <= len(head):
        length, kind = struct.unpack(">I4s", head[start : start + 8])  # of a chunk; 4 bytes of sum follow it
        keyword, _, text = head[start + 8 : start + 8 + length].partition(b"\0")
        if kind == b"tEXt" and keyword == KEYWORD.encode():
            return text.decode("latin-1")
        start += 12 + length
    return ""
