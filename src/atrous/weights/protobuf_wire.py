"""The wire format of protobuf, read in place: where the fields of a message lie, not their content.

Source: protobuf.dev/programming-guides/encoding.
"""

import mmap
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from atrous.errors import CheckpointError

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)
_KINDS = ("a varint", "a 64-bit value", "bytes", "a group", "the end of a group", "a 32-bit value")
_WIDTHS = {FIXED64: 8, FIXED32: 4}

# ResNet-152 has about 9,000 fields, the values of a blob counted as one. More only cost time and memory: the
# worst file of this many takes a few seconds and 70 MB beyond its values.
MAX_FIELDS = 200_000
_MAX_DEPTH = 100  # of groups, as in protobuf's own readers
_LONGEST_TEXT = 1000  # bytes
_WINDOW = 1 << 20  # tags compared at once, so that long runs need little memory


class Field(NamedTuple):
    """One field, or several of the same tag and fixed width that lie side by side.

    Attributes:
        number: Of the field, from the message's definition.
        kind: Wire type, 0-5.
        start: Offset of the first byte after the tag (and the length).
        stop: Offset past the last byte.
        value: Of a varint, unsigned 64 bits.
    """

    number: int
    kind: int
    start: int
    stop: int
    value: int = 0


class Values(NamedTuple):
    """`size` numbers of fixed width: the first one's offset, and the bytes from one to the next."""

    start: int
    size: int
    step: int


def broken(what: str, *, at: int) -> CheckpointError:
    """The error for bytes that no writer of Caffe's would leave."""
    return CheckpointError(
        f"at byte {at}, {what}; the file is damaged, cut short, or no .caffemodel (a .prototxt, .solverstate "
        "or web page is none); fetch the .caffemodel again"
    )


class WireReader:
    """Reads the fields of one mapped message and of the messages in it, `MAX_FIELDS` in all."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content
        self.whole = Field(0, BYTES, 0, len(content))
        self._num_left = MAX_FIELDS

    def fields(self, message: Field) -> Iterator[Field]:
        """The fields of a message in their order; of a group, only where it starts.

        Raises:
            CheckpointError: If its bytes are no message, or the file has too many fields.
        """
        _expect(message, BYTES)
        position, groups = message.start, []
        while position < message.stop:
            field = self._next(position, message.stop)
            position = field.stop
            if field.kind == END_GROUP:
                if not groups or groups.pop() != field.number:
                    raise broken(f"group {field.number} ends and never began", at=field.start)
                continue
            if not groups:
                yield field
            if field.kind == GROUP:
                groups.append(field.number)
                if len(groups) > _MAX_DEPTH:
                    raise broken(f"groups are nested more than {_MAX_DEPTH} deep", at=field.start)
        if groups:
            raise broken(f"the message ends inside group {groups[-1]}", at=message.stop)

    def text(self, field: Field) -> str:
        """A string.

        Raises:
            CheckpointError: If the field holds none, or one that is too long for a name.
        """
        _expect(field, BYTES)
        if field.stop - field.start > _LONGEST_TEXT:
            raise broken(f"a name has {field.stop - field.start} bytes", at=field.start)
        try:
            text = self.content[field.start : field.stop].decode()
        except UnicodeDecodeError as error:
            raise broken("a name is no UTF-8", at=field.start) from error
        if not text.isprintable():
            raise broken(f"a name holds what cannot be printed, {ascii(text)[:60]}", at=field.start)
        return text

    def integer(self, field: Field) -> int:
        """A signed integer.

        Raises:
            CheckpointError: If the field holds none.
        """
        _expect(field, VARINT)
        return _signed(field.value)

    def integers(self, field: Field) -> list[int]:
        """Signed integers, one (a varint) or many (packed).

        Raises:
            CheckpointError: If the field holds none.
        """
        if field.kind == VARINT:
            return [self.integer(field)]
        _expect(field, BYTES)
        values, position = [], field.start
        while position < field.stop:
            self._count(position)
            value, position = self._varint(position, field.stop)
            values.append(_signed(value))
        return values

    def values(self, field: Field, *, kind: int) -> Values:
        """Where numbers of fixed width lie, single (of this kind) or packed.

        Raises:
            CheckpointError: If the field holds none, or ends within one.
        """
        width = _WIDTHS[kind]
        length = field.stop - field.start
        if field.kind == kind:
            return Values(field.start, (length + 1) // (width + 1), width + 1)
        _expect(field, BYTES)
        if length % width:
            raise broken(f"{length} bytes of packed values are no multiple of {width}", at=field.start)
        return Values(field.start, length // width, width)

    def _next(self, position: int, limit: int) -> Field:
        self._count(position)
        tag, start = self._varint(position, limit)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29 or kind > FIXED32:
            raise broken(f"a field has number {number} and wire type {kind}", at=position)
        stop, value = start, 0
        if kind == VARINT:
            value, stop = self._varint(start, limit)
        elif kind == BYTES:
            length, start = self._varint(start, limit)
            stop = start + length
        elif kind in _WIDTHS:
            stop = start + _WIDTHS[kind]
        if stop > limit:
            raise broken(f"a field of {stop - start} bytes has only {limit - start}", at=start)
        if kind in _WIDTHS and start == position + 1:
            stop += self._num_followers(tag, stop, limit, step=stop - position) * (stop - position)
        return Field(number, kind, start, stop, value)

    def _num_followers(self, tag: int, position: int, limit: int, *, step: int) -> int:
        """How many more fields with this one-byte tag and fixed width follow each other from a position."""
        most = (limit - position) // step
        found, window = 0, 1
        while found < most:
            window = min(2 * window, most - found, _WINDOW)  # a short run costs little, a long one few steps
            start = position + found * step
            others = np.ndarray((window,), np.uint8, self.content, start, (step,)) != tag
            if others.any():
                return found + int(others.argmax())
            found += window
        return found

    def _varint(self, position: int, limit: int) -> tuple[int, int]:
        """An unsigned integer of up to ten bytes, seven bits each, and the offset past it."""
        value = 0
        for shift, offset in enumerate(range(position, min(position + 10, limit))):
            byte = self.content[offset]
            value |= (byte & 127) << 7 * shift
            if byte < 128 and value < 1 << 64:
                return value, offset + 1
        raise broken("a number is cut short or has more than 64 bits", at=position)

    def _count(self, position: int) -> None:
        self._num_left -= 1
        if self._num_left < 0:
            raise broken(f"it has more than {MAX_FIELDS} fields, as no network has", at=position)


def _expect(field: Field, kind: int) -> None:
    if field.kind != kind:
        raise broken(f"field {field.number} is {_KINDS[field.kind]}, not {_KINDS[kind]}", at=field.start)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
