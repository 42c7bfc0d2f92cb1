"""Paths and URLs side by side: what is found, read, written whole, and said when it cannot be."""

from importlib.util import find_spec
from pathlib import Path

import fsspec
import numpy as np
import pytest

from atrous.data.bucket import find_files
from atrous.data.images import write_image
from atrous.data.places import (
    existing,
    join,
    place_of,
    read_heads,
    read_image_at,
    remove_at,
    with_ending,
    write_at,
    write_text_at,
)
from atrous.errors import ConfigError, DataError, OutputError

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)


@pytest.fixture(params=["path", "url"])
def folder(request, tmp_path):
    """A place that is empty."""
    if request.param == "path":
        yield tmp_path / "deep"
        return
    files = fsspec.filesystem("memory")
    yield "memory://bucket/deep"
    if files.exists("/bucket"):
        files.rm("/bucket", recursive=True)


def test_places_are_what_users_mean():
    assert place_of("a/b") == Path("a/b")
    assert place_of(Path("a")) == Path("a")
    assert place_of("file:///a%20b/c.png") == Path("/a b/c.png")
    assert place_of("s3://bucket/a/") == "s3://bucket/a"
    assert join("s3://bucket/a", "b/c") == "s3://bucket/a/b/c"
    assert with_ending("s3://bucket/a.b", ".png") == "s3://bucket/a.b.png"
    assert with_ending(Path("x/a.b"), ".png") == Path("x/a.b.png")


def test_what_is_written_is_there_and_read_back(folder):
    place, other = join(folder, "b/image.png"), join(folder, "b/other.png")
    assert existing([place, other], folder) == set()
    write_at(place, lambda path: write_image(path, PIXELS))
    assert existing([place, other], folder) == {place}
    assert (read_image_at(place) == PIXELS).all()
    assert read_heads([place], 4) == [b"\x89PNG"]
    remove_at(place)
    remove_at(place)
    assert existing([place, other], folder) == set()
    assert read_heads([], 4) == []


def test_text_is_written_as_utf8(folder):
    write_text_at(join(folder, "a.txt"), "Straße")
    assert read_heads([join(folder, "a.txt")], 100) == ["Straße".encode()]


def test_a_write_that_breaks_off_leaves_nothing_at_a_url():
    def failing(path):
        path.write_bytes(b"half")
        raise OutputError("the disk is full")

    with pytest.raises(OutputError, match="the disk is full"):
        write_at("memory://bucket/half.png", failing)
    assert find_files("memory://bucket") == []


def test_a_broken_image_at_a_url_is_named_by_it(folder):
    write_text_at(join(folder, "a.png"), "no image")
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image"):
        read_image_at(join(folder, "a.png"))
    with pytest.raises(DataError, match=r"b\.png does not exist"):
        read_image_at(join(folder, "b.png"))


def test_files_are_found_below_a_url_and_by_pattern(folder):
    if isinstance(folder, Path):
        pytest.skip("paths are found by pathlib")
    for name in ("b/c.png", "a.png", "d.txt"):
        write_text_at(join(folder, name), "x")
    assert find_files(folder) == [(f"{folder}/{name}", name) for name in ("a.png", "b/c.png", "d.txt")]
    assert [name for _, name in find_files(f"{folder}/*.png")] == ["a.png"]
    assert [name for _, name in find_files(f"{folder}/a.png")] == ["a.png"]


@pytest.mark.parametrize("url", ["s4://bucket/a", "nothing://a"])
def test_an_unknown_kind_of_url_is_one_line(url):
    with pytest.raises(ConfigError, match=r"is no address that fsspec knows .*give s3://BUCKET"):
        find_files(url)


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_backend_that_is_not_installed_is_one_line():
    with pytest.raises(ConfigError, match=r"needs a package that is not installed .*pip install s3fs"):
        find_files("s3://bucket/a")
