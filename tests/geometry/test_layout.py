import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.geometry.layout import Atom, axes_of, broadcast, image_layout, plain_dim, reshape, size_of


def test_single_entries_stay_with_what_they_follow():
    layout, broken = reshape(image_layout((1, 6, 1, 1), 2), (1, 6))
    assert (layout, broken) == (((Atom(1),), (Atom(6), Atom(1, 0), Atom(1, 1))), frozenset())
    layout, broken = reshape(image_layout((1, 6, 1, 1), 2), (1, 6, 1))
    assert [axes_of([dim]) for dim in layout] == [set(), set(), {0, 1}]


def test_tokens_keep_both_axes_and_give_them_back():
    tokens, broken = reshape(image_layout((2, 3, 4, 5), 2), (2, 3, 20))
    assert (tokens[2], broken) == ((Atom(4, 0), Atom(5, 1)), frozenset())
    assert reshape(tokens, (2, 3, 4, 5)) == (image_layout((2, 3, 4, 5), 2), frozenset())


def test_windows_break_the_axes_they_cut():
    layout, broken = reshape(image_layout((2, 3, 4, 5), 2), (2, 3, 2, 2, 5))
    assert broken == {0}
    assert axes_of(layout) == {1}


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple), st.integers(1, 2), st.randoms())
def test_reshape_keeps_an_axis_only_where_its_positions_stay_apart(shape, rank, random):
    factors = [p for n in shape for p in ([n] if n != 4 else [2, 2])]
    target: list[int] = [1]
    for factor in factors:
        if random.random() < 0.4:
            target.append(factor)
        else:
            target[-1] *= factor
    layout, _ = reshape(image_layout(shape, rank), target)
    assert tuple(map(size_of, layout)) == tuple(target)
    for axis in axes_of(layout):
        position = np.broadcast_to(
            np.arange(shape[len(shape) - rank + axis]).reshape(
                [-1 if dim == len(shape) - rank + axis else 1 for dim in range(len(shape))]
            ),
            shape,
        ).reshape(target)
        (place,) = [place for place, dim in enumerate(layout) if axis in axes_of([dim])]
        others = tuple(dim for dim in range(len(target)) if dim != place)
        assert (
            position.min(axis=others) == position.max(axis=others)
        ).all()  # it depends on that dimension only


def test_broadcasting_gives_up_axes_that_meet_other_axes():
    image = image_layout((1, 1, 4, 4), 2)
    turned = (image[0], image[1], image[3], image[2])
    layout, lost = broadcast([image, turned], (1, 1, 4, 4))
    assert lost == {0, 1}
    assert not axes_of(layout)
    assert broadcast([image, (plain_dim(1),) * 2], (1, 1, 4, 4)) == (image, frozenset())
    assert math.prod(size_of(dim) for dim in layout) == 16
