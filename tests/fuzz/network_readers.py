"""What reads networks, weights and states, in the child process; networks that are read predict, too."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

SIDE = 24  # px of the image that a network is tried on


def checkpoint(path: Path) -> None:
    from atrous.inference.stored import stored_labels

    stored_labels(path)
    _predict(path)


def exported(path: Path) -> None:
    from atrous.inference.stored import stored_labels

    stored_labels(path)
    _predict(path)


def openvino_weights(path: Path) -> None:
    """The graph lies beside the weights."""
    _predict(path.with_suffix(".xml"))


def run_state(path: Path) -> None:
    from atrous.crf.stored import restore_crf
    from atrous.jobs.run_folder import RunFolder

    folder = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        shutil.copyfile(path, folder / "last.safetensors")
        state = RunFolder(folder).load_state()
        assert state.position.step >= 0
        restore_crf(state.crf, state.part("crf"), num_classes=state.label_set.num_classes)
    finally:
        shutil.rmtree(folder)


def state_dict(path: Path) -> None:
    from atrous.weights.files import read_state_dict
    from atrous.weights.fit import fit

    tensors = read_state_dict(path)
    assert all(type(tensor) is torch.Tensor and tensor.dtype == torch.float32 for tensor in tensors.values())
    fit(tensors, names=dict.fromkeys(tensors, "w"), shapes={"w": (4, 3)})


def keras(path: Path) -> None:
    from atrous.weights.keras import read_keras

    for layer in read_keras(path).values():
        assert all(tensor.dtype == torch.float32 for tensor in layer)


def caffemodel(path: Path) -> None:
    from atrous.weights.caffe import read_caffemodel

    assert read_caffemodel(path)


def _predict(path: Path) -> None:
    from atrous.inference.predictor import Predictor

    predictor = Predictor(path, device="cpu")
    channels = predictor.network.num_channels
    if predictor.network.num_axes == 2 and channels == 3 and predictor.quantity is None:
        image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        label_map = predictor(image).label_map
        assert label_map.shape == (SIDE, SIDE)
        assert label_map.max() < predictor.network.num_classes
