"""Compiled models on disk: found by all that they were made from, and never more than fit."""

import os

import pytest
import torch
from torch import nn

from atrous.geometry.program import export_program
from atrous.inference.model_cache import ModelCache, program_digest, user_cache_folder


def digest(network: nn.Module, *facts: str, side: int = 16) -> str:
    return program_digest(export_program(network, torch.zeros(1, 3, side, side)), facts)


def convolution(*, dilation: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, dilation=dilation, padding="same"), nn.ReLU())


def test_digest_is_of_operators_weights_size_and_facts():
    known = digest(convolution(), "bfloat16")
    assert digest(convolution(), "bfloat16") == known
    changed = convolution()
    with torch.no_grad():
        next(changed.parameters())[0, 0, 0, 0] += 2**-20
    others = [
        digest(changed, "bfloat16"),
        digest(convolution(dilation=2), "bfloat16"),  # the same weights under the same names
        digest(convolution(), "bfloat16", side=17),
        digest(convolution(), "float32"),
        digest(convolution(), "bfloat1", "6"),
    ]
    assert len({known, *others}) == 6


def test_digest_is_of_constants_too():
    class Scaled(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = torch.tensor([factor])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.factor

    assert digest(Scaled(1.0)) != digest(Scaled(2.0))


def test_cache_gives_back_what_was_stored(tmp_path):
    cache = ModelCache(tmp_path / "engines")
    assert cache.load("a") is None
    cache.store("a", memoryview(b"model"), "note")
    assert cache.load("a") == (b"model", "note")
    cache.drop("a")
    assert cache.load("a") is None
    assert not list(cache.folder.iterdir())


def test_cache_drops_what_was_used_longest_ago(tmp_path):
    cache = ModelCache(tmp_path, max_bytes=10)
    for age, key in enumerate("ab"):
        cache.store(key, memoryview(bytes(5)), "")
        os.utime(tmp_path / f"{key}.blob", (age, age))
    cache.load("a")
    cache.store("c", memoryview(bytes(5)), "")
    assert cache.load("b") is None
    assert cache.load("a") is not None
    assert cache.load("c") is not None


def test_cache_that_cannot_be_written_is_no_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    cache = ModelCache(file / "engines")
    cache.store("a", memoryview(b"model"), "")
    assert cache.load("a") is None


@pytest.mark.parametrize(
    ("root", "expected"), [("/cache", "/cache/atrous/engines"), ("", "~/.cache/atrous/engines")]
)
def test_user_cache_folder_follows_xdg(monkeypatch, root, expected):
    monkeypatch.setenv("XDG_CACHE_HOME", root)
    assert str(user_cache_folder()) == os.path.expanduser(expected)  # noqa: PTH111 (~ alone)
