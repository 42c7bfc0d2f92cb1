"""The networks of a comparison, and how each spends the budget."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from atrous.errors import ConfigError
from atrous.training.settings import Stage

RESERVED = ("comparison.", "recipe.")  # files of a comparison beside the folders of its networks


@dataclass(frozen=True, slots=True)
class Contender:
    """A network and what is its own; all else is the comparison's.

    Attributes:
        network: Name in the catalog.
        name: In table and picture, and of its folder; the network's unless given.
        context_module: none, basic or large: a context module put on top of a front end.
        noise: Standard deviation of the context module's initial weights off the identity.
        backbone: What the network stands on, where there is a choice.
        init: Starting weights, as `atrous train` takes them.
        learning_rate_factor: Times the learning rates of the stages.
        frozen: Prefixes of layers that keep their weights, in place of those of front_end and joint.
    """

    network: str
    name: str = ""
    context_module: Literal["none", "basic", "large"] = "none"
    noise: float = 0.0
    backbone: str = ""
    init: Path | None = None
    learning_rate_factor: float = 1.0
    frozen: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.network)
        if not self.learning_rate_factor > 0:
            raise ConfigError(f"learning_rate_factor is {self.learning_rate_factor}; it must be positive")
        if not self.name or self.name.startswith((".", *RESERVED)) or set(self.name) & set("/\\\n"):
            raise ConfigError(
                f'a contender is named "{self.name}", and a folder is named after it; give it a name without '
                f"slashes that does not begin with a dot, {' or '.join(RESERVED)}"
            )


def names_of(contenders: Sequence[Contender]) -> dict[str, Contender]:
    """Contenders by their names.

    Raises:
        ConfigError: If two have one name.
    """
    named = {contender.name: contender for contender in contenders}
    if len(named) < len(contenders):
        raise ConfigError("two contenders have one name; give each its own by name = ")
    return named


def chosen(networks: Sequence[str], contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """The contenders that take part: those of the names, or of the catalog by that name; all unless named."""
    named = names_of(contenders)
    return tuple(named.get(name, Contender(name)) for name in networks) or tuple(contenders)


def scaled(stages: dict[str, Stage], num_steps: int) -> dict[str, Stage]:
    """The stages with their steps in the same proportion, and `num_steps` in all; 0 leaves them.

    >>> three = {"a": Stage(num_steps=2), "b": Stage(num_steps=1), "c": Stage(num_steps=1)}
    >>> [stage.num_steps for stage in scaled(three, 10).values()]
    [5, 2, 3]
    """
    total, given, spent = sum(stage.num_steps for stage in stages.values()), 0, 0
    if not num_steps:
        return stages
    result = {}
    for name, stage in stages.items():
        given += stage.num_steps
        steps = num_steps * given // total - spent
        spent += steps
        result[name] = replace(stage, num_steps=steps, warmup_steps=min(stage.warmup_steps, steps))
    return result


def stages_of(contender: Contender, stages: dict[str, Stage], *, has_context: bool) -> dict[str, Stage]:
    """How a network spends the budget.

    Args:
        contender: The network and what is its own.
        stages: front_end, context and joint of the comparison.
        has_context: Whether it has a context module. One without spends all steps on the settings of
            front_end; one with it too, in the stage joint, where neither context nor joint have steps.
    """
    total = sum(stage.num_steps for stage in stages.values())
    whole = replace(stages["front_end"], num_steps=total)
    if not has_context:
        stages = {"front_end": whole}
    elif total == stages["front_end"].num_steps:
        stages = {"joint": whole}
    return {name: _own(contender, name, stage) for name, stage in stages.items() if stage.num_steps}


def _own(contender: Contender, name: str, stage: Stage) -> Stage:
    rate = contender.learning_rate_factor * stage.learning_rate
    frozen = stage.frozen if contender.frozen is None or name == "context" else contender.frozen
    return replace(stage, learning_rate=rate, frozen=frozen)
