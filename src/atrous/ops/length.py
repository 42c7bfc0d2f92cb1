"""The length of an axis: a number, or a symbol while a network is exported for any size."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    Length = int  # the stubs of torch's operators know no symbols
else:
    Length = int | torch.SymInt
