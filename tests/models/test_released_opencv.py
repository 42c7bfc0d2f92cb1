"""The four networks against another engine: OpenCV runs the same .caffemodel beside a prototxt."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import cbook
from PIL import Image

pytest.importorskip("cv2", reason="needs opencv-python-headless 4.x, which reads Caffe's files")

from atrous.models.caffe_networks import import_network, recognize
from atrous.ops.pad import pad_reflect
from atrous.weights.caffe import read_caffemodel
from models.caffe_engine import NETWORKS, random_blobs, released_prototxt, run_opencv
from weights.caffe_files import write_caffemodel


@pytest.fixture
def photo() -> torch.Tensor:
    """Part of a photograph, RGB in 0-255, of odd sizes."""
    path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    pixels = np.asarray(Image.open(str(path)).convert("RGB").crop((120, 40, 271, 145)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_probabilities_are_those_of_opencv(name: str, photo: torch.Tensor, tmp_path: Path):
    height, width = (side + 2 * 186 for side in photo.shape[2:])
    net = released_prototxt(name, height, width)
    path = tmp_path / "random.caffemodel"
    write_caffemodel(path, random_blobs(net.shapes, seed=0))

    layers = read_caffemodel(path)
    assert recognize(layers, source="a.caffemodel") == name
    imported = import_network(layers, name=name)
    assert imported.fitted.complete
    assert {line.status for line in imported.fitted.lines} == {"used"}

    images = pad_reflect(imported.network.normalization.apply(photo), [(186, 186)] * 2)
    theirs = torch.from_numpy(run_opencv(net.text, path, images.numpy()))
    with torch.inference_mode():
        ours = imported.network(images).softmax(1)
    height, width = ours.shape[2:]  # Cityscapes' prototxt does not crop
    theirs = theirs[..., :height, :width]
    assert theirs.amax() - theirs.amin() > 0.5  # it would be easy to agree on nothing
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)
