"""Optimizers with Yu & Koltun's rule for biases: twice the learning rate, no weight decay."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.training.settings import Stage

BIAS_FACTOR = 2.0  # Yu & Koltun's released train.prototxt: lr_mult 2, decay_mult 0


def build_optimizer(
    module: nn.Module, stage: Stage, *, new_layers: Sequence[str] = ()
) -> torch.optim.Optimizer:
    """The stage's optimizer over all parameters that it does not freeze; those are frozen in place.

    Args:
        module: What the stage trains.
        stage: Kind, rates, decay, frozen prefixes.
        new_layers: Prefixes of parameter names that get `stage.new_layers_factor`.

    Raises:
        ConfigError: If a frozen prefix matches nothing, or everything is frozen.
    """
    freeze_(module, stage.frozen)
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            is_new = name.startswith(tuple(new_layers))
            groups.setdefault((is_new, parameter.ndim == 1), []).append(parameter)
    if not groups:
        raise ConfigError(f"frozen = {list(stage.frozen)} leaves nothing to train")
    param_groups = [_group(stage, *key, parameters) for key, parameters in sorted(groups.items())]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(param_groups, lr=stage.learning_rate, momentum=stage.momentum)
    return torch.optim.AdamW(param_groups, lr=stage.learning_rate, betas=(stage.momentum, 0.999))


def freeze_(module: nn.Module, prefixes: Sequence[str]) -> None:
    """Let only parameters outside the prefixes be trained, in place; a prefix may leave out containers.

    Raises:
        ConfigError: If a prefix matches no parameter.
    """
    matched: set[str] = set()
    for name, parameter in module.named_parameters():
        hits = {prefix for prefix in prefixes if name.startswith(prefix) or f".{prefix}" in name}
        parameter.requires_grad_(not hits)
        matched |= hits
    if missing := set(prefixes) - matched:
        layers = sorted({name.rsplit(".", 1)[0] for name, _ in module.named_parameters()})
        raise ConfigError(f"frozen = {sorted(missing)} matches no layer; layers are {', '.join(layers)}")


def train_(module: nn.Module) -> None:
    """Training mode, in place; a frozen batch norm keeps the statistics that it has, as its weights."""
    module.train()
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and _is_frozen(layer):
            layer.eval()


def _is_frozen(layer: nn.Module) -> bool:
    parameters = list(layer.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def scale_learning_rates_(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` times its initial one, in place."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["initial_lr"]


def _group(stage: Stage, is_new: bool, is_bias: bool, parameters: list[Tensor]) -> dict[str, Any]:  # noqa: FBT001
    rate = stage.learning_rate
    rate *= stage.new_layers_factor if is_new else 1.0
    rate *= BIAS_FACTOR if is_bias else 1.0
    return {
        "params": parameters,
        "lr": rate,
        "initial_lr": rate,
        "weight_decay": 0.0 if is_bias else stage.weight_decay,
    }


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as `parameter number.name` to tensors, for a checkpoint."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, entry in state.items() for name, value in entry.items()}


def restore_optimizer_(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` took, in place; rates and decay stay the optimizer's own."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:  # in the memory order of the parameter, as it was before
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
