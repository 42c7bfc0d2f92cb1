"""Classifiers of torchvision and timm by name; neither package is needed before one is asked for."""

import importlib
import importlib.util
import inspect
import re
import sys
from typing import Any

import torch
from torch import nn

from atrous.config import suggestion
from atrous.errors import ConfigError

_NAME = re.compile(r"[\w.]+")  # others, timm takes for addresses of models elsewhere, such as hf-hub:a/b


def is_foreign(name: str) -> bool:
    """Whether a name is `torchvision:NAME` or `timm:NAME`."""
    return name.split(":")[0] in ("torchvision", "timm") and ":" in name


def foreign_network(name: str, *, pretrained: bool = False) -> nn.Module:
    """A classifier of torchvision or timm.

    Args:
        name: `torchvision:NAME` or `timm:NAME`.
        pretrained: Let the package fetch the weights that it names its default.

    Raises:
        ConfigError: If the package has no such network, or is missing.
    """
    source, _, key = name.partition(":")
    if not _NAME.fullmatch(key):
        raise ConfigError(f'"{name}" names no network in {source}; give letters, digits, _ and . alone')
    build = _of_timm if source == "timm" else _of_torchvision
    return build(key, pretrained=pretrained)


def _of_torchvision(name: str, *, pretrained: bool) -> nn.Module:
    models = import_torchvision().models
    if name not in models.list_models():
        raise ConfigError(f'torchvision has no network "{name}"; {suggestion(name, models.list_models())}')
    # the two with auxiliary heads initialize for minutes unless told not to
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3") and not pretrained:
        options["init_weights"] = False
    if not pretrained and "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
        options["weights_backbone"] = None  # else it would be fetched
    return models.get_model(name, weights="DEFAULT" if pretrained else None, **options)


def import_torchvision() -> Any:
    """torchvision; one built for another torch lacks its operators, which no classifier needs."""
    try:
        return importlib.import_module("torchvision")
    except ImportError as error:
        raise ConfigError("torchvision is not installed; run `pip install torchvision`") from error
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for loaded in [module for module in sys.modules if module.split(".")[0] == "torchvision"]:
        del sys.modules[loaded]
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)
    return importlib.import_module("torchvision")


_KEPT: list[torch.library.Library] = []  # a library's operators vanish with it


def _of_timm(name: str, *, pretrained: bool) -> nn.Module:
    if importlib.util.find_spec("timm") is None:
        raise ConfigError("timm is not installed; run `pip install timm`")
    try:
        import_torchvision()
        timm = importlib.import_module("timm")
    except ImportError as error:
        raise ConfigError(f"timm cannot be imported ({error}); run `pip install timm`") from error
    if name.split(".")[0] not in timm.list_models():
        raise ConfigError(f'timm has no network "{name}"; {suggestion(name, timm.list_models())}')
    return timm.create_model(name, pretrained=pretrained)
