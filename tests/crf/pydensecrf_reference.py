"""What pydensecrf makes of a small scene, kept in pydensecrf.npz for tests where it is not installed.

Written by `python tests/crf/pydensecrf_reference.py` with pydensecrf2 1.1.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).parent / "pydensecrf.npz"
NORMALIZATIONS = {"symmetric": 3, "before": 1, "after": 2, "none": 0}  # its constants
COSTS = np.array(
    [[-1.0, 0.5, 0.2], [0.5, -2.0, 0.1], [0.2, 0.1, -0.5]], np.float32
)  # it takes symmetric ones
COMPATIBILITIES = {"potts": None, "matrix": COSTS, "vector": np.array([-1.0, -0.2, 0.3], np.float32)}
SETTINGS = {"sxy_gaussian": (3.0, 2.0), "compat_gaussian": 1.0, "sxy_bilateral": (20.0, 15.0), "srgb": 13.0}
WEIGHT = 1.0  # of the bilateral kernel, as of the other: its compatibilities are per kernel, ours for all


def scene():
    """An image uint8 (h, w, 3) of three leaning stripes with noise, and noisy scores (k, h, w) of them."""
    generator = np.random.default_rng(5)
    y, x = np.mgrid[:20, :28]
    truth = (x + y // 2) // 14 % 3
    colors = np.array([[60, 90, 200], [210, 190, 40], [90, 160, 90]])
    image = np.clip(colors[truth] + generator.normal(0, 12, (20, 28, 3)), 0, 255).astype(np.uint8)
    scores = 1.5 * np.eye(3)[truth].transpose(2, 0, 1) + generator.normal(0, 1, (3, 20, 28))
    return image, scores.astype(np.float32)


def refine(image, scores, *, settings, normalization, weights, compatibility=None, num_steps=5):
    """Probabilities (k, h, w) of pydensecrf; weights of the spatial and the bilateral kernel."""
    pydensecrf = importlib.import_module("pydensecrf.densecrf")
    num_classes, height, width = scores.shape
    crf = pydensecrf.DenseCRF2D(width, height, num_classes)
    crf.setUnaryEnergy(np.ascontiguousarray(-scores.reshape(num_classes, -1)))
    compat = [weight if compatibility is None else weight * compatibility for weight in weights]
    kind = NORMALIZATIONS[normalization]
    crf.addPairwiseGaussian(sxy=settings["sxy_gaussian"], compat=compat[0], normalization=kind)
    crf.addPairwiseBilateral(
        sxy=settings["sxy_bilateral"],
        srgb=settings["srgb"],
        rgbim=np.ascontiguousarray(image),
        compat=compat[1],
        normalization=kind,
    )
    return np.array(crf.inference(num_steps), np.float32).reshape(scores.shape)


def main():
    image, scores = scene()
    results: dict[str, Any] = {
        f"{normalization} {name}": refine(
            image,
            scores,
            settings=SETTINGS,
            normalization=normalization,
            weights=(SETTINGS["compat_gaussian"], WEIGHT),
            compatibility=compatibility,
        )
        for normalization, name, compatibility in CASES
    }
    np.savez_compressed(PATH, **results)


CASES = [
    *((normalization, "potts", None) for normalization in NORMALIZATIONS),
    *(("symmetric", name, COMPATIBILITIES[name]) for name in ("matrix", "vector")),
]

if __name__ == "__main__":
    main()
