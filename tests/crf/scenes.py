"""Noise to refine, and kernels to refine it by."""

import torch

from atrous.crf.kernels import Bilateral, Spatial

KERNELS = (Spatial(2.0, 1.5), Bilateral(6.0, 40.0, 2.0))


def scene(spatial, num_classes=3, batch=1, channels=3, seed=0):
    """Logits and images of noise."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, num_classes, *spatial, generator=generator, dtype=torch.float64)
    images = torch.randint(0, 256, (batch, channels, *spatial), generator=generator, dtype=torch.uint8)
    return 2 * logits, images
