import importlib
import subprocess
import sys

import pytest

import atrous.crf


def test_the_public_names_are_those_of_the_issue():
    assert set(atrous.crf.__all__) == {
        *("Spatial", "Bilateral", "Gaussian", "mean_field", "DenseCRF", "CRFRNN", "search_parameters"),
        *("unary_from_labels", "from_pydensecrf", "from_crfasrnn"),
    }


def test_every_public_name_is_there():
    for name in atrous.crf.__all__:
        assert getattr(atrous.crf, name).__name__ == name
    assert set(atrous.crf.__all__) <= set(dir(atrous.crf))


def test_importing_the_room_loads_neither_torch_nor_numba():
    code = "import sys, atrous.crf; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'atrous\.crf' has no attribute 'nothing'"):
        importlib.import_module("atrous.crf").nothing  # noqa: B018
