"""The running average of weights that a stage validates and saves where its recipe asks for one."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def build_average(module: nn.Module, *, decay: float) -> AveragedModel:
    """The average of the module's weights over updates: `decay * average + (1 - decay) * weights` at each.

    It starts as the weights after the first update.
    """
    return AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay))


def adopt_(module: nn.Module, average: AveragedModel) -> None:
    """Give the module its averaged weights, in place."""
    module.load_state_dict(average.module.state_dict())


@contextmanager
def averaged(module: nn.Module, average: AveragedModel | None) -> Iterator[None]:
    """The module with its averaged weights for a while; as it is where there is no average."""
    if average is None:
        yield
        return
    own = {name: value.detach().clone() for name, value in module.state_dict().items()}
    adopt_(module, average)
    try:
        yield
    finally:
        module.load_state_dict(own)
