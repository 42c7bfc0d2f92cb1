import subprocess
import sys

import numpy as np
import pytest

from atrous.compiling import compiled


def test_compiled_functions_work_under_a_check_of_types():
    @compiled
    def total(values: np.ndarray) -> float:
        result = 0.0
        for value in values:
            result += value
        return result

    assert total(np.arange(5.0)) == 10


def test_what_cannot_be_kept_on_disk_is_compiled_all_the_same():
    names = {}
    exec("def twice(value):\n    return 2 * value\n", names)  # of no file: numba finds no folder for it
    assert compiled(names["twice"])(21) == 42


@pytest.mark.slow
def test_nothing_is_compiled_before_it_is_needed():
    code = """
import sys, time
import torch, numba
start = time.perf_counter()
import atrous.crf.inference_steps
from atrous.crf.lattice_build import enclose
sys.exit(bool(enclose.signatures) or time.perf_counter() - start > 5)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
