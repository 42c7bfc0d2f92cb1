"""How far convolutions see: seven standard against seven exponential layers, and where they really look.

Yu & Koltun 2016, section 2: with dilations 1, 2, 4, ... the receptive field grows exponentially with the
layers, at no more parameters than with dilation 1. Seven standard 3x3 layers see 15 px, seven exponential
ones 255 px.

What a network can see is not yet what it looks at. To see 63 px takes 31 standard layers or 5 exponential
ones; gradients through untrained networks show how their influence is spread over those 63 px (Luo et al.
2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks").

    python examples/receptive_fields.py --output FOLDER
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from atrous import effective_receptive_field, open_dataset, receptive_field
from atrous.figures.canvas import save_figure
from atrous.figures.depth import draw_field_growth
from atrous.figures.effective import draw_effective_field
from atrous.layers.init import he_normal_

STANDARD, EXPONENTIAL = (1,) * 7, (1, 2, 4, 8, 16, 32, 64)
SEES_63 = {"31 standard layers": (1,) * 31, "5 exponential layers": (1, 2, 4, 8, 16)}
CHANNELS, SIDE = 8, 128  # of every layer; px of the image


def build_stack(dilations: Sequence[int], *, seed: int = 0) -> nn.Sequential:
    """3x3 convolutions that keep the size, each with its dilation and a ReLU; untrained."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    in_channels = 3
    for dilation in dilations:
        conv = nn.Conv2d(in_channels, CHANNELS, 3, dilation=dilation, padding=dilation)
        layers += [he_normal_(conv), nn.ReLU()]
        in_channels = CHANNELS
    return nn.Sequential(*layers)


def compare_growth(example: torch.Tensor, output: Path) -> None:
    """The field after each layer and the parameters so far, as a table and a picture."""
    fields = {
        "standard": receptive_field(build_stack(STANDARD), example),
        "exponential": receptive_field(build_stack(EXPONENTIAL), example),
    }
    columns = [[layer for layer in field.layers if not layer.node.is_pointwise] for field in fields.values()]
    print("       standard                     exponential")
    print("layer  dilation  field  parameters  dilation  field  parameters")
    totals = [0, 0]
    for number, layers in enumerate(zip(*columns, strict=True)):
        cells = []
        for stack, (layer, dilations) in enumerate(zip(layers, (STANDARD, EXPONENTIAL), strict=True)):
            totals[stack] += layer.node.num_parameters
            cells.append(f"{dilations[number]:8d}  {layer.size[0]:5g}  {totals[stack]:10,d}")
        print(f"{number + 1:5d}  {'  '.join(cells)}")
    save_figure(output / "growth.png", draw_field_growth(fields))


def compare_influence(example: torch.Tensor, output: Path) -> None:
    """What lies within 95% of the influence, of two untrained networks that could see 63 px."""
    image = open_dataset(Path("builtin:scenes"), "train")[0].image[-SIDE:, -SIDE:]
    print("\nnetwork               could see  95% within  parameters")
    for name, dilations in SEES_63.items():
        network = build_stack(dilations)
        field = receptive_field(network, example)
        effective = effective_receptive_field(network, example, samples=8)
        parameters = sum(layer.node.num_parameters for layer in field.layers)
        print(f"{name:20s}  {field.size[0]:6g} px  {effective.radius(0.95):7.1f} px  {parameters:10,d}")
        figure = draw_effective_field(image, effective, field=field, name=name)
        save_figure(output / f"influence_{len(dilations)}_layers.png", figure)


def main() -> None:
    """Print both tables and write the pictures."""
    parser = argparse.ArgumentParser(description="How far convolutions see.")
    parser.add_argument("--output", type=Path, default=Path("runs/receptive_fields"))
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    example = torch.zeros(1, 3, SIDE, SIDE)
    compare_growth(example, output)
    compare_influence(example, output)
    print(f"\npictures: {output}")


if __name__ == "__main__":
    main()
