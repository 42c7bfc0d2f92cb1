"""Dense prediction with dilated convolutions: train, apply and analyze networks, and make classifiers dense.

Names are imported when they are first used, so that `import atrous` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrous.data.labels import LabelSet
    from atrous.data.open import open_dataset
    from atrous.errors import AtrousError
    from atrous.evaluation.evaluate import evaluate
    from atrous.evaluation.metrics import Scores
    from atrous.geometry.coverage import coverage
    from atrous.geometry.effective import effective_receptive_field
    from atrous.geometry.graph import Layer
    from atrous.geometry.gridding import find_gridding
    from atrous.geometry.receptive_field import receptive_field
    from atrous.geometry.schedule import Schedule, design_schedules
    from atrous.geometry.trace import trace
    from atrous.inference.engines import build_engine
    from atrous.inference.generate import SoundGenerator, generate
    from atrous.inference.prediction import Prediction
    from atrous.inference.predictor import Predictor
    from atrous.inference.stream import Stream
    from atrous.jobs.compare import CompareConfig, CompareResult, compare
    from atrous.jobs.contenders import Contender
    from atrous.jobs.train import TrainConfig, TrainResult, train
    from atrous.models.catalog import build_network, load_network
    from atrous.models.context import ContextModule
    from atrous.models.contract import DenseNetwork
    from atrous.models.dilated_net import DilatedNet
    from atrous.models.frontend import FrontEnd
    from atrous.ops.conv import conv
    from atrous.ops.resample import upsample_logits
    from atrous.surgery.dilate import dilate
    from atrous.training.settings import Stage

_HOMES = {
    "AtrousError": "errors",
    "CompareConfig": "jobs.compare",
    "CompareResult": "jobs.compare",
    "Contender": "jobs.contenders",
    "ContextModule": "models.context",
    "DenseNetwork": "models.contract",
    "DilatedNet": "models.dilated_net",
    "FrontEnd": "models.frontend",
    "LabelSet": "data.labels",
    "Layer": "geometry.graph",
    "Prediction": "inference.prediction",
    "Predictor": "inference.predictor",
    "Schedule": "geometry.schedule",
    "Scores": "evaluation.metrics",
    "SoundGenerator": "inference.generate",
    "Stage": "training.settings",
    "Stream": "inference.stream",
    "TrainConfig": "jobs.train",
    "TrainResult": "jobs.train",
    "build_engine": "inference.engines",
    "build_network": "models.catalog",
    "compare": "jobs.compare",
    "conv": "ops.conv",
    "coverage": "geometry.coverage",
    "design_schedules": "geometry.schedule",
    "dilate": "surgery.dilate",
    "effective_receptive_field": "geometry.effective",
    "evaluate": "evaluation.evaluate",
    "find_gridding": "geometry.gridding",
    "generate": "inference.generate",
    "load_network": "models.catalog",
    "open_dataset": "data.open",
    "receptive_field": "geometry.receptive_field",
    "trace": "geometry.trace",
    "train": "jobs.train",
    "upsample_logits": "ops.resample",
}

__version__ = "0.1.0"

__all__ = [
    "AtrousError",
    "CompareConfig",
    "CompareResult",
    "Contender",
    "ContextModule",
    "DenseNetwork",
    "DilatedNet",
    "FrontEnd",
    "LabelSet",
    "Layer",
    "Prediction",
    "Predictor",
    "Schedule",
    "Scores",
    "SoundGenerator",
    "Stage",
    "Stream",
    "TrainConfig",
    "TrainResult",
    "build_engine",
    "build_network",
    "compare",
    "conv",
    "coverage",
    "design_schedules",
    "dilate",
    "effective_receptive_field",
    "evaluate",
    "find_gridding",
    "generate",
    "load_network",
    "open_dataset",
    "receptive_field",
    "trace",
    "train",
    "upsample_logits",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'atrous' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"atrous.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
