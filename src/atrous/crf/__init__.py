"""Fully connected CRFs: kernels, Gaussian filters, mean field, its learned form, and the search for settings.

Names are imported when they are first used, so that `import atrous.crf` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrous.crf.dense_crf import DenseCRF
    from atrous.crf.inference_steps import mean_field
    from atrous.crf.kernels import Bilateral, Gaussian, Spatial, from_crfasrnn, from_pydensecrf
    from atrous.crf.rnn import CRFRNN
    from atrous.crf.search import search_parameters
    from atrous.crf.unary import unary_from_labels

_HOMES = {
    "Bilateral": "kernels",
    "CRFRNN": "rnn",
    "DenseCRF": "dense_crf",
    "Gaussian": "kernels",
    "Spatial": "kernels",
    "from_crfasrnn": "kernels",
    "from_pydensecrf": "kernels",
    "mean_field": "inference_steps",
    "search_parameters": "search",
    "unary_from_labels": "unary",
}

__all__ = [
    "CRFRNN",
    "Bilateral",
    "DenseCRF",
    "Gaussian",
    "Spatial",
    "from_crfasrnn",
    "from_pydensecrf",
    "mean_field",
    "search_parameters",
    "unary_from_labels",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'atrous.crf' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"atrous.crf.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
