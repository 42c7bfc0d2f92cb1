"""What context is for: scenes, their classes, and what networks say that see 32 px and 296 px.

The networks are those of `atrous demo`: a front end, and the same with a context module of 2,352 parameters
on top. The three cores in a scene look alike; a ring 30 px and more away tells which is which.

    python examples/context.py --demo runs/demo --output FOLDER

Where there is no demo in that folder, it is run first, which takes about a minute.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from atrous import Predictor
from atrous.data.labels import IGNORE
from atrous.data.scenes import Scenes
from atrous.figures.canvas import DOTS_PER_INCH, INK
from atrous.figures.overlay import overlay
from atrous.jobs.demo import DemoConfig
from atrous.jobs.demo import run as run_demo
from atrous.jobs.progress import drain

NETWORKS = {"front end, sees 32 px": "front_end", "with context module, 296 px": "with_context"}
SHOWN = (0, 6)  # numbers of scenes of the split test
OPACITY, QUALITY = 0.85, 88  # of colors over the image; of the JPEG


def paint(image: np.ndarray, label_map: np.ndarray) -> np.ndarray:
    """All classes but the ground in color over the faded image."""
    faded = (255 - (255 - image.astype(np.float32)) / 2).astype(np.uint8)
    return overlay(
        faded, np.where(label_map == 0, IGNORE, label_map), Scenes("test").label_set.palette, opacity=OPACITY
    )


def draw(predictors: Mapping[str, Predictor]) -> Figure:
    """A row a scene: image, truth, and each network's labels."""
    scenes = Scenes("test")
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    for row, index in zip(figure.subplots(len(SHOWN), 4), SHOWN, strict=True):
        sample = scenes[index]
        pictures = {"image": sample.image, "classes": paint(sample.image, sample.labels)}
        pictures |= {
            title: paint(sample.image, predictors[name](sample.image).label_map)
            for title, name in NETWORKS.items()
        }
        for axes, (title, picture) in zip(row, pictures.items(), strict=True):
            axes.imshow(picture)
            axes.set_axis_off()
            if index == SHOWN[0]:
                axes.set_title(title, color=INK, fontsize=11)
    names, palette = scenes.label_set.names[1:], scenes.label_set.palette[1:]
    patches = [
        Patch(color=tuple(np.array(color) / 255), label=name)
        for name, color in zip(names, palette, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=10)
    return figure


def find_demo(folder: Path, *, num_steps: int = DemoConfig.num_steps) -> dict[str, Predictor]:
    """Its networks by the names of their files; it is run where they are not there."""
    paths = {name: folder / f"{name}.safetensors" for name in NETWORKS.values()}
    if not all(path.exists() for path in paths.values()):
        print(drain(run_demo(DemoConfig(output=folder, num_steps=num_steps))).to_table())
    return {name: Predictor(path) for name, path in paths.items()}


def main() -> None:
    """Run the demo if it is not there, and draw."""
    parser = argparse.ArgumentParser(description="What context is for.")
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"))
    parser.add_argument("--num-steps", type=int, default=DemoConfig.num_steps)
    parser.add_argument("--output", type=Path, default=Path("runs/context"))
    arguments = parser.parse_args()
    figure = draw(find_demo(arguments.demo, num_steps=arguments.num_steps))
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "context.jpg"
    figure.savefig(path, dpi=DOTS_PER_INCH, pil_kwargs={"quality": QUALITY})
    print(f"pictures: {arguments.output}")


if __name__ == "__main__":
    main()
