"""What the outputs of a network mean: classes, a quantity, or the codes of a sound."""

from typing import Any

from atrous.data.labels import LabelSet
from atrous.data.quantity import Quantity, quantity_of
from atrous.data.voice import Voice

Meaning = LabelSet | Quantity | Voice


def meaning_of(fields: dict[str, Any]) -> Meaning:
    """The inverse of `to_dict` of any of them, as a checkpoint stores it.

    Raises:
        CheckpointError: If it is a quantity or a voice that this version does not know.
        DataError: If it is none of them.
    """
    if "voice" in fields:
        return Voice.from_dict(fields)
    return quantity_of(fields) if "quantity" in fields else LabelSet.from_dict(fields)
