"""Torch's own file of a program that takes any height and width."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atrous.errors import CheckpointError, GeometryError
from atrous.export.card import KEY, Card

AXES = {1: ("samples",), 2: ("height", "width"), 3: ("x", "y", "z")}


def write_program(program: torch.export.ExportedProgram, card: Card, path: Path) -> None:
    """Write the file that `torch.export.load` reads, the card beside the graph."""
    torch.export.save(program, path, extra_files={f"{KEY}.json": card.to_json()})


class Program:
    """What `write_program` wrote, ready to be called.

    Args:
        path: The .pt2; only of one's own: `torch.export.load` is not made for files of others.

    Attributes:
        card: What it tells of itself.

    Raises:
        CheckpointError: If the file was not written by `atrous export`.
    """

    def __init__(self, path: Path) -> None:
        extra: dict[str, Any] = {f"{KEY}.json": ""}
        program = torch.export.load(path, extra_files=extra)
        text = extra[f"{KEY}.json"]
        if not text:
            raise CheckpointError(f"{path} was not written by atrous export; export it anew")
        self.card = Card.from_json(text, source=str(path))
        self._module = program.module()

    def __call__(self, images: Tensor) -> Tensor:
        """What the program gives of its input.

        Raises:
            GeometryError: If it was exported for larger inputs only.
        """
        try:
            return self._module(images)
        except AssertionError as error:  # how torch.export says that a guard failed
            size = " x ".join(map(str, images.shape[2:]))
            raise GeometryError(
                f"the program takes no input of {size} ({error}); leave such images out, or take another "
                "--format"
            ) from error
