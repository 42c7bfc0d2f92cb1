"""The length of an axis: a number, or a symbol while a network is exported for any size."""

import torch

Length = int | torch.SymInt
