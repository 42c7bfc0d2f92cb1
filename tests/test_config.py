"""Dataclasses to TOML and back, and what a wrong recipe is told."""

import json
import math
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.config import from_dict, load_toml, suggestion, to_dict, to_toml
from atrous.errors import ConfigError
from atrous.jobs.train import TrainConfig
from atrous.training.settings import Stage


@dataclass(frozen=True, slots=True)
class Part:
    name: str = "part"
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """One field of every kind that a config may have."""

    count: int
    text: str = ""
    rate: float = 0.5
    on: bool = False
    place: Path = Path("here")
    kind: Literal["one", "two", 3] = "one"
    pair: tuple[float, float] = (0.0, 1.0)
    places: tuple[Path, ...] = ()
    colors: tuple[tuple[int, int, int], ...] = ()
    maybe: int | None = None
    perhaps: tuple[str, ...] | None = None
    part: Part = field(default_factory=Part)
    other_part: Part | None = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError(f"count is {self.count}; it must be at least 0")


finite = st.floats(allow_nan=False)
paths = st.text(min_size=1).map(Path)
parts = st.builds(Part, name=st.text(), sizes=st.lists(st.integers()).map(tuple))
wholes = st.builds(
    Whole,
    count=st.integers(0),
    text=st.text(),
    rate=finite,
    on=st.booleans(),
    place=paths,
    kind=st.sampled_from(["one", "two", 3]),
    pair=st.tuples(finite, finite),
    places=st.lists(paths, max_size=3).map(tuple),
    colors=st.lists(st.tuples(*[st.integers(0, 255)] * 3), max_size=3).map(tuple),
    maybe=st.none() | st.integers(),
    perhaps=st.none() | st.lists(st.text(), max_size=3).map(tuple),
    part=parts,
    other_part=st.none() | parts,
)
# Keys and values, not instances: the check of annotations draws random numbers, which a strategy may not.
stage_keys = {
    "num_steps": st.integers(0, 10**6),
    "crop_size": st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    "learning_rate": st.floats(1e-12, 10),
    "momentum": st.floats(0, 0.999),
    "optimizer": st.sampled_from(["sgd", "adamw"]),
    "mirror": st.booleans(),
    "frozen": st.lists(st.text(), max_size=3).map(tuple),
}
recipe_keys = {
    "data": paths,
    "output": paths,
    "network": st.text(),
    "init": st.none() | paths,
    "seed": st.integers(0, 2**40),
    "precision": st.sampled_from(["auto", "float32", "bfloat16"]),
    "resume": st.booleans(),
    "minutes": st.floats(0.1, 1e4),
}


def one_line(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


@given(config=wholes)
def test_toml_brings_back_an_equal_config(config):
    assert from_dict(Whole, tomllib.loads(to_toml(config)), source="here") == config


@pytest.mark.slow
@given(
    keys=st.fixed_dictionaries({}, optional=recipe_keys),
    front_end=st.fixed_dictionaries({}, optional=stage_keys),
    joint=st.fixed_dictionaries({}, optional=stage_keys),
)
def test_toml_brings_back_an_equal_recipe(keys, front_end, joint, tmp_path_factory):
    config = TrainConfig(**keys, front_end=Stage(**front_end), joint=Stage(**joint))
    path = tmp_path_factory.getbasetemp() / "recipe.toml"
    path.write_text(to_toml(config, comment="why\n\nand how"), encoding="utf-8")
    assert load_toml(path, TrainConfig) == config


@given(config=wholes)
def test_json_brings_back_an_equal_config(config):
    assert from_dict(Whole, json.loads(json.dumps(to_dict(config))), source="here") == config


@pytest.mark.parametrize(
    "text",
    [*map(chr, [*range(33), 0x7F, 0x85, 0x2028]), '"', "\\", "'", '"""', "\\n", "a # b", "é", "音", "🛰"],
)
def test_every_character_survives_toml(text):
    config = Part(name=f"a{text}b", sizes=())
    assert from_dict(Part, tomllib.loads(to_toml(config)), source="here") == config


def test_toml_is_what_a_user_would_write():
    config = Whole(3, rate=1e-4, place=Path("a/b"), kind=3, pair=(1, 2.5), part=Part("x", (1, 2)))
    assert to_toml(config, comment="made by hand\n\nfor a test") == (
        "# made by hand\n#\n# for a test\n"
        'count = 3\ntext = ""\nrate = 0.0001\non = false\nplace = "a/b"\nkind = 3\npair = [1, 2.5]\n'
        'places = []\ncolors = []\n\n[part]\nname = "x"\nsizes = [1, 2]\n'
    )


def test_tables_within_tables_have_dotted_names():
    @dataclass(frozen=True)
    class Box:
        whole: Whole

    box = Box(Whole(1, other_part=Part("y")))
    text = to_toml(box)
    assert "\n[whole.other_part]\nname = " in text
    assert to_dict(box) == tomllib.loads(text)


def test_none_is_left_out():
    names = {name.name for name in fields(Whole)}
    assert set(to_dict(Whole(1))) == names - {"maybe", "perhaps", "other_part"}


def test_values_become_what_the_annotations_say():
    table = {
        "count": 1, "rate": 2, "place": "a/b", "pair": [1, 2], "places": ["c"], "colors": [[1, 2, 3]],
        "maybe": 4, "perhaps": ["x"], "part": {"sizes": [5]}, "other_part": {},
    }  # fmt: skip
    config = from_dict(Whole, table, source="here")
    assert config == Whole(
        1, rate=2.0, place=Path("a/b"), pair=(1.0, 2.0), places=(Path("c"),), colors=((1, 2, 3),),
        maybe=4, perhaps=("x",), part=Part(sizes=(5,)), other_part=Part(),
    )  # fmt: skip
    assert isinstance(config.rate, float)
    assert isinstance(config.pair[0], float)


def test_infinity_survives_toml():
    assert from_dict(Whole, tomllib.loads(to_toml(Whole(1, rate=math.inf))), source="here").rate == math.inf


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"count": 1, "rat": 2}, 'here: unknown key "rat"; did you mean "rate"?'),
        ({"count": 1, "zzz": 2}, 'here: unknown key "zzz"; known are colors, count, '),
        ({"count": 1, "a\nb": 2}, 'here: unknown key "a\\nb"; known are '),
        ({"count": 1, "part": {"nme": "x"}}, 'here: part: unknown key "nme"; did you mean "name"?'),
        ({}, 'here: the key "count" is missing; it has no default, so give it'),
        ({"count": "1"}, "here: count is '1'; it must be of type int"),
        ({"count": 1.5}, "here: count is 1.5; it must be of type int"),
        ({"count": True}, "here: count is True; it must be of type int"),
        ({"count": 1, "rate": True}, "here: rate is True; it must be of type float"),
        ({"count": 1, "rate": "fast"}, "here: rate is 'fast'; it must be of type float"),
        ({"count": 1, "on": 1}, "here: on is 1; it must be of type bool"),
        ({"count": 1, "text": 1}, "here: text is 1; it must be of type str"),
        ({"count": 1, "text": ["a\nb"]}, "here: text is ['a\\nb']; it must be of type str"),
        ({"count": 1, "place": 1}, "here: place is 1; it must be of type Path"),
        ({"count": 1, "kind": "four"}, "here: kind is 'four'; choose one of one, two, 3"),
        ({"count": 1, "kind": ["one"]}, "here: kind is ['one']; choose one of one, two, 3"),
        ({"count": 1, "pair": 1.0}, "here: pair is 1.0; it must be a list"),
        ({"count": 1, "pair": [1.0]}, "here: pair has 1 values; it needs 2"),
        ({"count": 1, "pair": [1.0, "x"]}, "here: pair is 'x'; it must be of type float"),
        ({"count": 1, "colors": [[1, 2]]}, "here: colors has 2 values; it needs 3"),
        ({"count": 1, "maybe": "x"}, "here: maybe is 'x'; it must be of type int"),
        ({"count": 1, "part": "x"}, "here: part is 'x'; it must be a table"),
        ({"count": -1}, "here: count is -1; it must be at least 0"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(table, message):
    with pytest.raises(ConfigError) as caught:
        from_dict(Whole, table, source="here")
    assert one_line(caught).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[front_end]\nlearning_rat = 0.1",
            ': front_end: unknown key "learning_rat"; did you mean "learning_rate"?',
        ),
        ("[front_end]\nmomentum = 1", ": front_end: momentum is 1.0; it must lie in [0, 1)"),
        ("[joint]\nnum_steps = 1e3", ": joint: num_steps is 1000.0; it must be of type int"),
        ('precision = "half"', ": precision is 'half'; choose one of auto, float32, bfloat16"),
        ("save_every = 0", ": validate_every must be at least 0 and save_every at least 1"),
        ("seed = ", " is no readable TOML: "),
        ("seed = 1\nseed = 2", " is no readable TOML: "),
    ],
)
def test_a_wrong_recipe_is_refused_by_file_and_key(text, message, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_toml(path, TrainConfig)
    assert one_line(caught).startswith(f"{path}{message}")


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no recipe at .*absent\.toml; give the path of a TOML file"):
        load_toml(tmp_path / "absent.toml", TrainConfig)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00", b"name = \x80"])
def test_a_recipe_that_is_no_text_is_refused(content, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"recipe\.toml is no readable TOML: ") as caught:
        load_toml(path, TrainConfig)
    one_line(caught)


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(ConfigError, match="is no readable TOML: "):
        load_toml(tmp_path, TrainConfig)


def test_suggestion_names_the_nearest_or_all():
    assert suggestion("bron", ["brown", "blue"]) == 'did you mean "brown"?'
    assert suggestion("xyz", ["brown", "blue"]) == "known are blue, brown"
