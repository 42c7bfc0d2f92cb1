"""Hooks that take the last map on its way to the head, and hand the head something that it can take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from atrous.errors import SurgeryError
from atrous.surgery.changes import subsample
from atrous.surgery.phases import Slot
from atrous.surgery.seam import Seam


@runtime_checkable
class Handover(Protocol):
    """What happens to the last map at the seam, and to the network's result."""

    def hand_over(self, features: Tensor) -> Tensor:
        """What the head gets of the map."""
        ...

    def finish(self, output: Any) -> Tensor:
        """What the network returns, of what its forward returned."""
        ...


@dataclass(slots=True)
class Features:
    """Keeps the dense map as the network's result; the head runs on the original's cells.

    Attributes:
        spread: Dense cells from one original cell to the next.
        kept: The map, between the hooks.
    """

    spread: tuple[int, ...]
    kept: Slot

    def hand_over(self, features: Tensor) -> Tensor:
        """The original's cells, (b, c, *ceil(spatial / spread)), in memory of their own."""
        self.kept.put(features)
        return subsample(features, self.spread).clone()

    def finish(self, output: Any) -> Tensor:  # noqa: ARG002 (the head's result is not wanted)
        """The dense map."""
        features = self.kept.take()
        if features is None:
            raise SurgeryError(
                "the network's forward did not reach its head; dilate it with this example's size"
            )
        return features


@dataclass(frozen=True, slots=True)
class AtSeam:
    """Hooks a handover to the module at a seam, and to the network."""

    seam: Seam
    handover: Handover

    def apply_(self, module: nn.Module) -> nn.Module:
        """Hooks it to the network."""
        place = module.get_submodule(self.seam.path)
        match self.seam.where:
            case "before":
                place.register_forward_pre_hook(_Before(self.handover))
            case "after":
                place.register_forward_hook(_After(self.handover), prepend=True)
            case _:
                watch = _Watch(self.handover, self.seam.operator, self.seam.number)
                place.register_forward_pre_hook(watch.enter)
                place.register_forward_hook(watch.leave, prepend=True, always_call=True)
        module.register_forward_hook(_Finish(self.handover), prepend=self.seam.path != "")
        return module


@dataclass(slots=True)
class _Before:
    handover: Handover

    def __call__(self, module: nn.Module, args: Any) -> Any:  # noqa: ARG002 (hook)
        return self.handover.hand_over(args[0]), *args[1:]


@dataclass(slots=True)
class _After:
    handover: Handover

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:  # noqa: ARG002 (hook)
        return self.handover.hand_over(output)


@dataclass(slots=True)
class _Finish:
    handover: Handover

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:  # noqa: ARG002 (hook)
        return self.handover.finish(output)


class _Watch:
    """Finds a function call inside a module's forward: the call of that name after so many others."""

    def __init__(self, handover: Handover, operator: str, number: int) -> None:
        self.handover = handover
        self.operator = operator
        self.number = number
        self.mode = Slot()

    def enter(self, module: nn.Module, args: Any) -> None:  # noqa: ARG002 (hook)
        mode = _Intercept(self)
        self.mode.put(mode)
        mode.__enter__()

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG002 (hook)
        mode = self.mode.take()
        if mode is not None:
            mode.__exit__(None, None, None)


class _Intercept(TorchFunctionMode):
    """While a forward runs, counts the calls of one name, and changes the argument of the wanted one."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch
        self.seen = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__name__", "") == self.watch.operator:
            if self.seen == self.watch.number:
                args = (self.watch.handover.hand_over(args[0]), *args[1:])
            self.seen += 1
        return func(*args, **(kwargs or {}))
