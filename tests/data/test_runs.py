import numpy as np
import pytest

from atrous.data.runs import decode_runs, unpack_runs

# What pycocotools 2.0 packs for the region of test_unpack_runs_reads_what_cocos_tools_packed.
PACKED = (
    "Q62j01WO0d01\\O2b0M^O3b0M^O30L?1A30N>NB40O=MC400=KC5000K=5C00L<4D00N:2F00O:0F100:NF200;ME3000K:1F4000L:OF5000M"
    ";3E00N:2F00O;OE20O<ND300<LD400?0A0?0A00K?3A20Ka01_O40Kb00^O50Ld03\\OLh01\\4"
)


def test_decode_runs_goes_down_the_columns():
    np.testing.assert_array_equal(
        decode_runs((2, 3, 1), size=(2, 3)), [[False, True, True], [False, True, False]]
    )


@pytest.mark.parametrize("first", [False, True])
def test_decode_runs_undoes_counting_runs(first):
    region = np.random.default_rng(0).random((7, 5)) < 0.4
    region[0, 0] = first
    runs, inside = [0], False
    for pixel in region.T.ravel():
        if pixel != inside:
            runs.append(0)
            inside = pixel
        runs[-1] += 1
    np.testing.assert_array_equal(decode_runs(tuple(runs), size=(7, 5)), region)


def test_unpack_runs_reads_what_cocos_tools_packed():
    y, x = np.mgrid[:30, :40]
    region = ((x - 20) ** 2 / 200 + (y - 14) ** 2 / 90 < 1) & ((x + y) % 7 > 0)
    np.testing.assert_array_equal(decode_runs(unpack_runs(PACKED), size=(30, 40)), region)
