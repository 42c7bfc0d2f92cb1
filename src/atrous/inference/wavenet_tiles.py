"""What numba has no words for: weights of 16 bits as float32, and a tile of sums that stays in registers."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

TILE_SOUNDS, TILE_COLUMNS = 4, 32
LANES = 16
CONTRACT = ("contract",)  # a product and a sum may be rounded once, together

_WORD, _SHORTS = ir.IntType(32), ir.VectorType(ir.IntType(16), LANES)
_FLOATS, _WORDS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(_WORD, LANES)


@intrinsic
def _widened(context: Any, stored: Any) -> Any:  # noqa: ARG001
    """A stored weight as float32: itself, or the upper 16 bits of one."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        (value,) = arguments
        if stored == types.float32:
            return value
        wide = builder.shl(builder.zext(value, _WORD), ir.Constant(_WORD, 16))
        return builder.bitcast(wide, ir.FloatType())

    return types.float32(stored), code


@intrinsic
def _added_tile(context: Any, sums: Any, vectors: Any, matrix: Any, sound: Any, column: Any) -> Any:  # noqa: ARG001
    """Add vectors times the matrix to `TILE_SOUNDS` by `TILE_COLUMNS` of the sums, from sound and column on.

    Each weight is loaded once for all sounds of the tile, and each sum once for all weights.
    """
    is_wide = matrix.dtype == types.float32

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        into, left, right = (
            _Pointer(context, builder, kind, value)
            for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
        )
        first_sound, first_column = arguments[3:]
        places = [
            (builder.add(first_sound, _index(row)), builder.add(first_column, _index(lane)))
            for row in range(TILE_SOUNDS)
            for lane in range(0, TILE_COLUMNS, LANES)
        ]
        kept = [cgutils.alloca_once_value(builder, into.load(*place, _FLOATS)) for place in places]
        with cgutils.for_range(builder, right.length) as loop:
            lanes = range(0, TILE_COLUMNS, LANES)
            weights = [
                right.load(
                    loop.index, builder.add(first_column, _index(lane)), _FLOATS if is_wide else _SHORTS
                )
                for lane in lanes
            ]
            if not is_wide:
                half = ir.Constant(_WORDS, [16] * LANES)
                wide = [builder.shl(builder.zext(value, _WORDS), half) for value in weights]
                weights = [builder.bitcast(value, _FLOATS) for value in wide]
            for number, total in enumerate(kept):
                row, lane = divmod(number, len(weights))
                scalar = left.load(builder.add(first_sound, _index(row)), loop.index, ir.FloatType())
                product = builder.fmul(_splat(builder, scalar), weights[lane], flags=CONTRACT)
                builder.store(builder.fadd(builder.load(total), product, flags=CONTRACT), total)
        for place, total in zip(places, kept, strict=True):
            into.store(*place, builder.load(total))
        return context.get_dummy_value()

    return types.void(sums, vectors, matrix, types.intp, types.intp), code


class _Pointer:
    """An array (rows, columns) in the code that is written; its columns lie next to each other."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self._builder = builder
        self._start = builder.ptrtoint(array.data, ir.IntType(64))
        self._strides = cgutils.unpack_tuple(builder, array.strides)
        self.length = cgutils.unpack_tuple(builder, array.shape)[0]

    def load(self, row: Any, column: Any, kind: Any) -> Any:
        """One value or several neighbors of a row."""
        return self._builder.load(self._at(row, column, kind), align=2)

    def store(self, row: Any, column: Any, value: Any) -> None:
        """Several neighbors of a row."""
        self._builder.store(value, self._at(row, column, value.type), align=4)

    def _at(self, row: Any, column: Any, kind: Any) -> Any:
        steps = zip((row, column), self._strides, strict=True)
        place = self._start
        for index, stride in steps:
            place = self._builder.add(place, self._builder.mul(index, stride))
        return self._builder.inttoptr(place, kind.as_pointer())


def _index(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


def _splat(builder: Any, scalar: Any) -> Any:
    """A vector of one value."""
    single = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(
        single, ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_WORDS, [0] * LANES)
    )


widened: Any = _widened  # both are called without their context
add_tile_: Any = _added_tile
