"""Labels brought from one order of classes to another by the names of the classes, not their positions."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from atrous.data.folder import Sample
from atrous.data.labels import IGNORE, LabelSet
from atrous.data.samples import Samples
from atrous.errors import DataError

SYNONYMS = {
    "signsymbol": "sign",  # CamVid's own name; the released networks and Ros' KITTI say Sign
    "pavement": "sidewalk",  # the common copy of CamVid; its original, the released networks, KITTI: Sidewalk
    "vegetation": "tree",  # Ros' KITTI; CamVid says Tree
    "cyclist": "bicyclist",  # Ros' KITTI; CamVid says Bicyclist
}
"""Names of one class in the 11-class road scenes, CamVid and KITTI (Ros et al.), which share their colors.

Not among them: names of other data sets for something else, such as Cityscapes' rider (a person without the
bicycle) and traffic sign (without the lights that SignSymbol includes).
"""


def class_order(given: LabelSet, wanted: LabelSet) -> tuple[int, ...] | None:
    """For every class of `given` its number in `wanted`; None unless both have the same classes in any order.

    Letter case, spaces, hyphens, underscores do not count, and `SYNONYMS` are one class.

    >>> class_order(LabelSet(("Sky", "traffic_light")), LabelSet(("Traffic Light", "sky")))
    (1, 0)
    """
    key = _key_that_tells_apart(given, wanted)
    wanted_keys = [key(name) for name in wanted.names]
    given_keys = [key(name) for name in given.names]
    if sorted(given_keys) != sorted(wanted_keys):
        return None
    return tuple(wanted_keys.index(each) for each in given_keys)


def ordered_like(given: LabelSet, wanted: LabelSet) -> LabelSet | None:
    """The names and colors of `given` in the order of `wanted`; None unless both have the same classes."""
    order = class_order(given, wanted)
    if order is None:
        return None
    places = sorted(range(given.num_classes), key=lambda label: order[label])
    return LabelSet(
        tuple(given.names[label] for label in places), tuple(given.palette[label] for label in places)
    )


def in_order_of(samples: Samples, label_set: LabelSet) -> Samples:
    """The same samples with the numbers, names and colors of the classes of `label_set`.

    Raises:
        DataError: If the classes are not the same in another order; names those that do not match.
    """
    given = samples.label_set
    if given == label_set:
        return samples
    order = class_order(given, label_set)
    if order is None:
        key = _key_that_tells_apart(given, label_set)
        raise DataError(
            f"the data have {given.num_classes} classes and {label_set.num_classes} are wanted; "
            f"only in the data: {_unmatched(given, label_set, key)}; "
            f"only wanted: {_unmatched(label_set, given, key)}; "
            "choose data with the same classes, or name alike what is the same"
        )
    table = np.full(256, IGNORE, dtype=np.uint8)
    table[: given.num_classes] = order
    return Reordered(samples, label_set, table)


@dataclass(frozen=True, slots=True, eq=False)
class Reordered:
    """Samples with other numbers for their classes; as safe to read from several threads as they are.

    Attributes:
        samples: As they were.
        label_set: The classes in their new order.
        table: The new label of each old one.
    """

    samples: Samples
    label_set: LabelSet
    table: UInt8[np.ndarray, "256"]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        sample = self.samples[index]
        return replace(sample, labels=self.table[sample.labels])


def _key_that_tells_apart(*label_sets: LabelSet) -> Callable[[str], str]:
    """The most forgiving way to compare names under which no label set has one class twice."""
    for key in (_synonym, _folded):
        if all(len({key(name) for name in each.names}) == each.num_classes for each in label_sets):
            return key
    return str


def _synonym(name: str) -> str:
    folded = _folded(name)
    return SYNONYMS.get(folded, folded)


def _folded(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " _-")


def _unmatched(label_set: LabelSet, other: LabelSet, key: Callable[[str], str]) -> str:
    known = {key(name) for name in other.names}
    names = [name for name in label_set.names if key(name) not in known]
    return ", ".join(names) or "none"
