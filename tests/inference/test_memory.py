"""What prediction of a large image takes, measured in a process of its own."""

import subprocess
import sys

import pytest

PREDICT = """
import resource, sys
import numpy as np
from atrous.inference.predictor import Predictor
from atrous.models.catalog import build_network

image = np.random.default_rng(0).integers(0, 256, (1024, 2048, 3), dtype=np.uint8)
label_map = Predictor(build_network("dilation10_cityscapes"))(image).label_map
assert label_map.shape == (1024, 2048)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_cityscapes_image_takes_less_than_6_gib():
    run = subprocess.run([sys.executable, "-c", PREDICT], capture_output=True, text=True, check=True)
    assert 1 < int(run.stdout) / 2**30 < 6  # above what the weights and one activation take
