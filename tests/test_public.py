import importlib
import subprocess
import sys

import pytest

import atrous


def test_every_public_name_is_there():
    for name in atrous.__all__:
        assert getattr(atrous, name) is not None
    assert set(atrous.__all__) <= set(dir(atrous))


def test_public_names_are_sorted_and_lazy():
    assert atrous.__all__ == sorted(atrous.__all__)
    code = "import sys, atrous; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        importlib.import_module("atrous").nothing  # noqa: B018
