import numpy as np
import pytest
from PIL import Image

from atrous.data.labels import LabelSet
from atrous.figures.overlay import overlay
from atrous.inference import preview as module
from atrous.inference.label_strips import open_label_strips
from atrous.inference.preview import preview
from atrous.inference.rasters import open_raster
from inference.raster_files import noise

CLASSES = LabelSet(("ground", "wall", "sky"))


@pytest.mark.parametrize("size", [(1, 1), (100, 130), (131, 97), (2, 300)])
@pytest.mark.parametrize("longest_side", [50, 64, 4096])
def test_a_preview_is_the_overlay_of_the_whole_made_smaller(tmp_path, monkeypatch, size, longest_side):
    monkeypatch.setattr(module, "_PIXELS", 1000)  # several chunks
    image, labels = noise(*size, 3), noise(*size, seed=1) % 3
    Image.fromarray(image).save(tmp_path / "a.png")
    strips = open_label_strips(tmp_path / "out.png", size, {})
    strips.append(labels)
    with open_raster(tmp_path / "a.png") as raster:
        small = preview(raster, strips, CLASSES, longest_side=longest_side)
    side = -(-max(size) // longest_side)
    truth = Image.fromarray(overlay(image, labels, CLASSES.palette)).reduce(side)
    assert max(small.shape) <= longest_side
    np.testing.assert_array_equal(small, np.asarray(truth))
