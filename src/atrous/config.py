"""Frozen dataclasses to and from TOML and JSON; an unknown key is an error that names its neighbor."""

import difflib
import json
import sys
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from atrous.errors import ConfigError

T = TypeVar("T")
MANY = 20  # names that a message lists
LONGEST = 1 << 20  # bytes of a TOML file that is read; recipes have one or two thousand


def load_toml(path: Path, cls: type[T]) -> T:
    """A config of type `cls` read from a TOML file.

    Raises:
        ConfigError: If the file is missing, no TOML or over 1 MiB, has an unknown key, or a value of the
            wrong type.
    """
    try:
        size = path.stat().st_size
        if size > LONGEST:
            raise ConfigError(
                f"{path} has {size:,} bytes, and a TOML file here up to {LONGEST:,}; shorten it"
            )
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no recipe at {path}; give the path of a TOML file") from error
    except ConfigError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # no UTF-8, no TOML, too many digits, too deep
        raise ConfigError(f"{path} is no readable TOML: {error}") from error
    return from_dict(cls, table, source=str(path))


def from_dict(cls: type[T], table: dict[str, Any], *, source: str) -> T:
    """An instance of the dataclass `cls`, checked value by value against its annotations.

    Args:
        cls: A dataclass whose fields are numbers, strings, booleans, paths, literals, tuples of these,
            optionals, or dataclasses.
        table: Names to values, as TOML or JSON give them.
        source: Where the table comes from, for messages: a file, or "file: section".

    Raises:
        ConfigError: If a key is unknown or missing, or a value does not fit.
    """
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise ConfigError(f"{source}: unknown key {_quoted(key)}; {suggestion(key, known)}")
    for key, field in known.items():
        if key not in table and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f'{source}: the key "{key}" is missing; it has no default, so give it')
    values = {key: _convert(hints[key], value, f"{source}: {key}") for key, value in table.items()}
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?` where one is near, else the list of what is known."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    more = f" and {len(known) - MANY} more" if len(known) > MANY else ""
    return f"known are {', '.join(known[:MANY])}{more}"


def to_dict(config: Any) -> dict[str, Any]:
    """Names to plain values, nested as the dataclass is; None is left out, as TOML has none."""
    plain = {field.name: _plain(getattr(config, field.name)) for field in fields(config)}
    return {name: value for name, value in plain.items() if value is not None}


def to_toml(config: Any, *, comment: str = "") -> str:
    """The config as TOML text that `load_toml` reads back to an equal one.

    Args:
        config: A frozen dataclass.
        comment: Lines written above it, each as a TOML comment.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*lines, *_toml_lines(to_dict(config), prefix="")]) + "\n"


def _convert(hint: Any, value: Any, source: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        return _convert(options[0], value, source)
    if origin is Literal:
        if value not in get_args(hint):
            choices = ", ".join(map(str, get_args(hint)))
            raise ConfigError(f"{source} is {value!r}; choose one of {choices}")
        return value
    if origin is tuple:
        return _convert_tuple(get_args(hint), value, source)
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{source} is {value!r}; it must be a table")
        return from_dict(typing.cast(type, hint), value, source=source)
    return _convert_scalar(hint, value, source)


def _convert_tuple(parts: tuple[Any, ...], value: Any, source: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{source} is {value!r}; it must be a list")
    if len(parts) == 2 and parts[1] is Ellipsis:
        parts = (parts[0],) * len(value)
    if len(parts) != len(value):
        raise ConfigError(f"{source} has {len(value)} values; it needs {len(parts)}")
    return tuple(_convert(part, item, source) for part, item in zip(parts, value, strict=True))


def _convert_scalar(hint: Any, value: Any, source: str) -> Any:
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > sys.float_info.max:
            raise ConfigError(f"{source} is beyond any float; give a smaller number")
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{source} is {value!r}; it must be of type {hint.__name__}")
    return value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _toml_lines(table: dict[str, Any], *, prefix: str) -> Iterator[str]:
    for name, value in table.items():
        if not isinstance(value, dict) and not _is_tables(value):
            yield f"{name} = {_toml_value(value)}"
    for name, value in table.items():
        tables, brackets = (value, ("[[", "]]")) if _is_tables(value) else ([value], ("[", "]"))
        for entry in tables:
            if isinstance(entry, dict):
                yield ""
                yield f"{brackets[0]}{prefix}{name}{brackets[1]}"
                yield from _toml_lines(entry, prefix=f"{prefix}{name}.")


def _is_tables(value: Any) -> bool:
    """Whether it is a list of tables, as a tuple of dataclasses becomes."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return repr(value)


def _quoted(text: str) -> str:
    """The text as a TOML string, on one line: JSON's escapes, and DEL, which JSON lets stand."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
