"""Damage to files: bytes that are turned over, cut, copied and overwritten, and JSON with other values."""

import json
import tomllib
from typing import Any

import numpy as np

_EXTREMES = (0, 1, 2, 127, 128, 255, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 10**6, 0x7FFFFFFF, 0x80000000)
_EXTREMES += (0xFFFFFFFF, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_HEAD = 400  # bytes in which most formats keep their sizes, offsets and counts

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 255, 256, 65_536, 10**6, 10**9, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e-300,
    1e308, float("inf"), float("-inf"), float("nan"), "", "0", "x" * 300, "\0", "\x1b[31m",
    "../../etc/passwd", "__import__('os').system('true')", "torchvision:resnet18", "timm:hf-hub:a/b",
    "os:system", "CRFRNN",
    [], [[]], [None], [1, 2, 3], [1e308] * 4, [10**400], {}, {"a": 1}, {"__class__": "os.system"},
    [[[[[[[[1]]]]]]]], "compact", "BGR", "file:///etc/passwd",
)  # fmt: skip


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """The content after one to three kinds of damage."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        if not changed:
            break
        _KINDS[int(random.integers(len(_KINDS)))](changed, random)
    return bytes(changed)


def other_json(value: Any, random: np.random.Generator) -> Any:
    """The value with another one in some places: of another type, huge, nested, missing, or twice."""
    for _ in range(int(random.integers(1, 3))):
        value = _changed(value, random)
    return value


def damaged_json(content: bytes, random: np.random.Generator) -> bytes:
    """A JSON file with other values, or, one time in three, with damaged bytes."""
    if random.integers(3) == 0:
        return damaged(content, random)
    return json.dumps(other_json(json.loads(content), random)).encode()


def damaged_text(content: bytes, random: np.random.Generator) -> bytes:
    """A text with another word in some places, or, one time in three, with damaged bytes."""
    if random.integers(3) == 0:
        return damaged(content, random)
    words = content.decode().replace("=", " = ").replace(",", " , ").split(" ")
    for _ in range(int(random.integers(1, 4))):
        place = int(random.integers(len(words)))
        words[place] = _WORDS[int(random.integers(len(_WORDS)))]
    return " ".join(words).encode()


def damaged_toml(content: bytes, random: np.random.Generator) -> bytes:
    """A TOML file with other values that TOML can say, or, one time in three, other words."""
    if random.integers(3) == 0:
        return damaged_text(content, random)
    table = other_json(tomllib.loads(content.decode()), random)
    return _toml(table).encode() if isinstance(table, dict) else b"= 1"


def _toml(value: Any) -> str:
    """A table as lines, whose values are on one line each."""
    return "".join(f"{json.dumps(name)} = {_inline(held)}\n" for name, held in value.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_inline(held)}" for name, held in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps("none" if value is None else value)


_WORDS = (
    "", "-1", "1" + "0" * 400, "9" * 5000, "1e400", "-inf", "nan", "true", '""', "[]", "[[]]", "{}",
    "a.b.c = 1", "1979-05-27T07:32:00Z", "'''", '"\\u0000"', "\0", "\x1b[31m", "[a]", "[[a]]", "[" * 2000,
    "{a=" * 500, "\t", "\n", '"../../etc/passwd"', "= =", "#", "\\", "0x" + "f" * 300,
)  # fmt: skip


def _flip(content: bytearray, random: np.random.Generator) -> None:
    for _ in range(int(random.integers(1, 9))):
        content[_place(content, random)] ^= 1 << int(random.integers(8))


def _cut(content: bytearray, random: np.random.Generator) -> None:
    del content[int(random.integers(len(content))) :]


def _insert(content: bytearray, random: np.random.Generator) -> None:
    place = _place(content, random)
    content[place:place] = random.bytes(int(random.integers(1, 40)))


def _copy(content: bytearray, random: np.random.Generator) -> None:
    start, place = _place(content, random), _place(content, random)
    content[place:place] = content[start : start + int(random.integers(1, 200))]


def _remove(content: bytearray, random: np.random.Generator) -> None:
    start = _place(content, random)
    del content[start : start + int(random.integers(1, 40))]


def _overwrite(content: bytearray, random: np.random.Generator) -> None:
    """An integer of 1, 2, 4 or 8 bytes, in either order, becomes an extreme one."""
    width = 1 << int(random.integers(4))
    value = _EXTREMES[int(random.integers(len(_EXTREMES)))] & ((1 << 8 * width) - 1)
    start = _place(content, random)
    written = value.to_bytes(width, "little" if random.integers(2) else "big")
    content[start : start + width] = written[: len(content) - start]


_KINDS = (_flip, _cut, _insert, _copy, _remove, _overwrite, _overwrite, _overwrite)


def _place(content: bytearray, random: np.random.Generator) -> int:
    """Anywhere, but half of the time in the head."""
    most = min(len(content), _HEAD) if random.integers(2) else len(content)
    return int(random.integers(most))


def _changed(value: Any, random: np.random.Generator) -> Any:
    """One value inside another, found by walking down from the root."""
    if isinstance(value, dict) and value and random.integers(8):
        name = list(value)[int(random.integers(len(value)))]
        if random.integers(8) == 0:
            return {key: held for key, held in value.items() if key != name}
        return {**value, name: _changed(value[name], random)}
    if isinstance(value, list) and value and random.integers(4):
        place = int(random.integers(len(value)))
        if random.integers(6) == 0:
            return [*value[:place], *value[place + 1 :]]
        return [*value[:place], _changed(value[place], random), *value[place + 1 :]]
    return _VALUES[int(random.integers(len(_VALUES)))]
