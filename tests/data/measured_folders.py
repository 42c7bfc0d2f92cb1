"""Small folders of measured values, as users have them."""

import numpy as np
from PIL import Image

from atrous.data.flo import write_flo

SIZE = (40, 48)


def write_depths(root, *, train=4, val=2):
    """Images whose gray is their depth, and depths as 16-bit PNG in millimeters."""
    for split, number in (("train", train), ("val", val)):
        for name in ("images", "depths"):
            (root / split / name).mkdir(parents=True)
        for index in range(number):
            generator = np.random.default_rng((number, index))
            coarse = Image.fromarray(generator.integers(40, 250, (3, 3), dtype=np.uint8))
            gray = np.asarray(coarse.resize((SIZE[1], SIZE[0])))
            Image.fromarray(np.repeat(gray[..., None], 3, axis=2)).save(root / f"{split}/images/s{index}.png")
            depth = gray.astype(np.uint16) * 20
            depth[:5] = 0
            Image.fromarray(depth).save(root / f"{split}/depths/s{index}.png")
    (root / "values.toml").write_text("scale = 0.001\n")


def write_flows(root, *, train=3, val=1):
    """Noise that moves by whole pixels."""
    for split, number in (("train", train), ("val", val)):
        for name in ("images", "next_images", "flows"):
            (root / split / name).mkdir(parents=True)
        for index in range(number):
            generator = np.random.default_rng((number, index))
            image = generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            right, down = generator.integers(-3, 4, 2).tolist()
            Image.fromarray(image).save(root / f"{split}/images/s{index}.png")
            moved = np.roll(image, (down, right), (0, 1))
            Image.fromarray(moved).save(root / f"{split}/next_images/s{index}.png")
            flow = np.broadcast_to(np.array([right, down], np.float32)[:, None, None], (2, *SIZE)).copy()
            write_flo(root / f"{split}/flows/s{index}.flo", flow)
