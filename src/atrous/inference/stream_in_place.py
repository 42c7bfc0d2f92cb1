"""Operators of an exported program that write in place, as operators that return their result."""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from atrous.errors import GeometryError
from atrous.geometry.program import operator_name, writes_in_place
from atrous.geometry.source import line_of

RESHAPES = frozenset(
    {
        "view",
        "reshape",
        "_unsafe_view",
        "flatten",
        "unflatten",
        "squeeze",
        "unsqueeze",
        "view_as",
        "reshape_as",
    }
)
EXPANSIONS = frozenset({"expand", "expand_as", "broadcast_to"})
_VIEWS = RESHAPES | EXPANSIONS | {
    "slice", "select", "split", "split_with_sizes", "chunk", "getitem", "permute", "transpose", "unbind",
    "alias", "detach", "t", "movedim",
}  # fmt: skip
_FRESH = frozenset(
    {"batch_norm", "linear", "add", "mul", "sub", "div"} | {f"conv{rank}d" for rank in (1, 2, 3)}
)  # results in memory of their own


def functional_form(node: fx.Node) -> Callable[..., Any]:
    """The operator, by its form that returns a new tensor where the program writes in place.

    Raises:
        GeometryError: If it writes into a part of another value that is read later.
    """
    target: Any = node.target
    if not writes_in_place(node):
        return target
    _refuse_shared(node)
    base = node.all_input_nodes[0]
    if operator_name(base) in _FRESH and len(base.users) == 1:
        return target  # nobody else holds that piece: no need for another
    _, name, overload = str(target).split(".")
    return getattr(getattr(torch.ops.aten, name.rstrip("_")), overload)


def _refuse_shared(node: fx.Node) -> None:
    """Refuse an operator in place whose memory is read later under another name."""
    base = node.all_input_nodes[0]
    views = [user for user in base.users if operator_name(user) in _VIEWS and user < node]
    shared = [user for view in views for user in view.users]
    while operator_name(base) in _VIEWS:
        base = base.all_input_nodes[0]
        shared += base.users
    if any(user > node for user in shared):
        raise GeometryError(
            f"writing into a part of a value that is read later cannot be streamed {line_of(node)}; "
            "concatenate the parts instead"
        )
