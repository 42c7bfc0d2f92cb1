"""What all tests share: shapes checked at run time, and the data beside the checkout where there is any."""

from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("atrous", "beartype.beartype")

settings.register_profile("atrous", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("atrous")

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the real data sets in ../shared/data, which are not part of the project")
    return SHARED / "data"


@pytest.fixture
def shared_weights() -> Path:
    """The folder of pretrained weights."""
    if not (SHARED / "weights").is_dir():
        pytest.skip("needs the pretrained weights in ../shared/weights, which are not part of the project")
    return SHARED / "weights"
