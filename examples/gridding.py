"""Gridding in the activations of trained networks, and three cures measured side by side.

Where the dilations of a stack share a factor, neighboring outputs read different pixels: the map falls apart
into grids that know nothing of each other. Four small networks learn to label noisy scenes:

    gridded     dilations 2, 2, 4, 8: neighbors share no pixel
    designed    as many layers and the same field without holes, by `design_schedules`
    tail        the gridded stack and a last layer of dilation 1, as in the context module (Yu & Koltun 2016,
                table 1) and, in several steps, in a DRN (Yu et al. 2017, "Dilated Residual Networks")
    fused       every layer half dilated and half not, concatenated: branches as in ASPP (Chen et al. 2017)
                and ESPNet (Mehta et al. 2018), with as many parameters as the gridded stack

Coverage is what one output reads of its field, exact and before any training. Gridding is measured in the
last hidden activations a, on scenes that were not trained on:

    gridding = mean (a[p + 1] - a[p])^2 / mean (a[p + 2] - a[p])^2, over rows, columns and channels

Cells 2 apart lie on one grid of the gridded stack, adjacent cells on different ones. A smooth map has 0.25,
white noise 1; above 1 adjacent cells differ more than those of one grid. "Cured" is at most 0.5.

    python examples/gridding.py --output FOLDER
"""

import argparse
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from atrous import coverage, design_schedules, find_gridding, open_dataset, receptive_field
from atrous.figures.canvas import INK, save_figure
from atrous.figures.coverage import draw_coverage

GRIDDED = (2, 2, 4, 8)
CHANNELS, NUM_CLASSES = 16, 4  # ground, red ring, blue ring, core of any kind
NOISE = 1.0  # standard deviation, of images in -1..1: one pixel says little, many say it
NUM_STEPS, BATCH_SIZE, CROP = 120, 8, 72  # CROP in px
SHOWN = (slice(130, 194), slice(60, 124))  # rows and columns of the maps that are drawn


class Branches(nn.Module):
    """3x3 convolutions side by side, one a dilation, concatenated to as many channels as one would give."""

    def __init__(self, in_channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        share = CHANNELS // len(dilations)
        self.paths = nn.ModuleList(
            nn.Conv2d(in_channels, share, 3, dilation=dilation, padding=dilation) for dilation in dilations
        )

    def forward(self, images: Tensor) -> Tensor:
        """All branches, one after the other."""
        return torch.cat([path(images) for path in self.paths], dim=1)


def build_network(layers: Sequence[Sequence[int]], *, seed: int = 0) -> nn.Sequential:
    """Dilated layers, each given by the dilations of its branches, and a 1x1 classifier."""
    torch.manual_seed(seed)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, dilations in enumerate(layers, start=1):
        parts[f"layer{number}"] = Branches(CHANNELS if parts else 3, dilations)
        parts[f"relu{number}"] = nn.ReLU()
    return nn.Sequential(OrderedDict(parts, classifier=nn.Conv2d(CHANNELS, NUM_CLASSES, 1)))


def read_scenes(split: str, count: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Images (b, 3, h, w) under noise, and labels (b, h, w)."""
    scenes = [open_dataset(Path("builtin:scenes"), split)[3 * index] for index in range(count)]
    images = torch.from_numpy(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2) / 127.5 - 1
    labels = torch.from_numpy(np.stack([scene.labels for scene in scenes])).long()
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return images + NOISE * noise, labels.clamp(max=NUM_CLASSES - 1)


def train(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Cross-entropy on random crops; changes the network."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(NUM_STEPS):
        chosen = torch.randint(len(images), (BATCH_SIZE,), generator=generator)
        row, column = torch.randint(images.shape[-1] - CROP, (2,), generator=generator).tolist()
        window = (..., slice(row, row + CROP), slice(column, column + CROP))
        optimizer.zero_grad()
        functional.cross_entropy(network(images[chosen][window]), labels[chosen][window]).backward()
        optimizer.step()


def measure_gridding(maps: Tensor) -> float:
    """Squared difference of adjacent cells of maps (b, c, h, w) over that of cells 2 apart."""
    adjacent, apart = (
        (maps[..., step:, :] - maps[..., :-step, :]).square().mean()
        + (maps[..., step:] - maps[..., :-step]).square().mean()
        for step in (1, 2)
    )
    return float(adjacent / apart)


def draw_maps(image: Tensor, maps: dict[str, Tensor], gridding: dict[str, float]) -> Figure:
    """A part of the image (3, h, w), and of maps (c, h, w) the channel that varies most."""
    pictures = {"noisy image": (image / 4 + 0.5).clamp(0, 1).permute(1, 2, 0)[SHOWN]}
    for name, channels in maps.items():
        pictures[f"{name}\ngridding {gridding[name]:.2f}"] = channels[channels.var(dim=(1, 2)).argmax()][
            SHOWN
        ]
    figure = Figure(figsize=(3 * len(pictures), 3.9))
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    for axes, (name, picture) in zip(figure.subplots(1, len(pictures)), pictures.items(), strict=True):
        axes.imshow(picture.numpy(), cmap="cividis", interpolation="nearest")
        axes.set_title(name, color=INK, fontsize=11)
        axes.set_axis_off()
    worst = max(gridding, key=gridding.__getitem__)
    title = (
        f'In the activations of "{worst}" adjacent cells differ {gridding[worst]:.2g} times as much as cells'
    )
    figure.suptitle(f"{title} 2 apart (squared)", x=0.01, ha="left", color=INK, fontsize=13)
    return figure


def main() -> None:
    """Train, measure, print the table and write the pictures."""
    parser = argparse.ArgumentParser(description="Gridding, and three cures.")
    parser.add_argument("--output", type=Path, default=Path("runs/gridding"))
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    designed = design_schedules(receptive_field=1 + 2 * sum(GRIDDED), max_layers=len(GRIDDED))[0].dilations
    stacks = {
        "gridded": [(dilation,) for dilation in GRIDDED],
        "designed": [(dilation,) for dilation in designed],
        "tail of dilation 1": [(dilation,) for dilation in (*GRIDDED, 1)],
        "branches fused": [(1, dilation) for dilation in GRIDDED],
    }
    images, labels = read_scenes("train", 30, seed=0)
    tests, _ = read_scenes("test", 4, seed=1)
    maps, gridding, seen, causes = {}, {}, {}, {}
    print("network             dilations         parameters  field  read of field  gridding  cured")
    for name, layers in stacks.items():
        network = build_network(layers)
        seen[name], causes[name] = coverage(network, tests[:1]), find_gridding(network, tests[:1])
        train(network, images, labels)
        with torch.no_grad():
            activations = network[:-1](tests)
        maps[name], gridding[name] = activations[0], measure_gridding(activations)
        dilations = " ".join("|".join(map(str, branches)) for branches in layers)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        field = receptive_field(network, tests[:1]).size[0]
        cured = "yes" if gridding[name] <= 0.5 else "partly" if gridding[name] <= 1 else "no"
        print(
            f"{name:18s}  {dilations:16s}  {parameters:10,d}  {field:5g}  {seen[name].fraction:13.1%}  "
            f"{gridding[name]:8.2f}  {cured}"
        )
    save_figure(output / "activations.png", draw_maps(tests[0], maps, gridding))
    save_figure(output / "coverage.png", draw_coverage(seen, causes=causes))
    print(f"\npictures: {output}")


if __name__ == "__main__":
    main()
