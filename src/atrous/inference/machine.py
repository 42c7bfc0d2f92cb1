"""What this machine computes on and in."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from atrous.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16"]


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is CUDA, then Apple's GPU, then the processor.

    Raises:
        ConfigError: If there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f'device "{name}" is not on this machine; use "auto" or "cpu"') from error
    return device


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16 products."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def computes_in_bfloat16(device: torch.device, precision: Precision) -> bool:
    """What `precision` means on this device; "auto" is bfloat16 where that is fast."""
    return precision == "bfloat16" or (precision == "auto" and fast_in_bfloat16(device))


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Bfloat16 for convolutions, float32 for the rest; or nothing."""
    if computes_in_bfloat16(device, precision):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
