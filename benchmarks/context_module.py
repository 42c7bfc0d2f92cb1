"""What the choices behind a context module are worth: dilations, start, padding, training, on stored scores.

Run it as `python benchmarks/context_module.py --data DATA --front-ends A.safetensors B.safetensors --json
FILE`. Front ends are checkpoints of `atrous train`; their scores of whole images are stored once (`--scores
FOLDER`), the modules train on them alone, as `recipes/camvid_light.toml` sets it, in float32, and are judged
on the split `val`. What is done is kept in the JSON file: started again, it does what is missing.
"""

import argparse
import json
import statistics
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import nn

from atrous.config import load_toml
from atrous.data.open import open_dataset
from atrous.evaluation.metrics import Counts, Scores
from atrous.files import write_text
from atrous.geometry.schedule import Schedule, design_schedules
from atrous.geometry.schedule_search import most_even
from atrous.jobs.cached_scores import ScoreCache
from atrous.jobs.progress import Job
from atrous.jobs.stage_plan import plan_stages
from atrous.jobs.train import TrainConfig
from atrous.jobs.training_data import cached_examples
from atrous.layers.init import he_normal_
from atrous.models.catalog import load_network
from atrous.models.context import DILATIONS, ContextModule
from atrous.models.contract import DenseNetwork
from atrous.models.dilated_net import DilatedNet
from atrous.ops.upsample_labels import upsample_labels
from atrous.training.loop import Trainee, fit
from atrous.training.optimizers import build_optimizer, train_
from atrous.training.settings import Stage

RECIPE = Path(__file__).parent.parent / "recipes/camvid_light.toml"
DESIGNED = design_schedules(receptive_field=61, max_layers=4)[0].dilations  # as few layers as see so far
(EVENEST,) = most_even(7, total=sum(DILATIONS), kernel_size=3, max_dilation=sum(DILATIONS), count=1)
COLUMNS = ("weights", "field", "seen", "mean IoU", "over none", "over the paper's", "boundary F")
PAPER = "dilations: exponential, 1 1 2 4 8 16 1 (the paper)"


@dataclass(frozen=True, slots=True)
class Variant:
    """A context module that differs from the paper's, or in its training from the recipe, in one thing."""

    name: str
    build: Callable[[int], ContextModule] = ContextModule
    training: dict[str, Any] = field(default_factory=dict)


def dilated(*dilations: int) -> Callable[[int], ContextModule]:
    """The Basic module with other dilations."""
    return lambda num_classes: ContextModule(num_classes, dilations=dilations)


def _said(dilations: tuple[int, ...]) -> str:
    return " ".join(map(str, dilations))


def started_anew(num_classes: int) -> ContextModule:
    """He et al.'s random start in the place of the identity."""
    module = ContextModule(num_classes)
    for layer in module.layers:
        if isinstance(layer, nn.Conv2d):
            he_normal_(layer)
    return module


def padded_by_reflection(num_classes: int, *, once: bool) -> ContextModule:
    """Reflection in the place of zeros: of every layer's input, or of the scores once, as of an image."""
    module = ContextModule(num_classes)
    side = (module.receptive_field - 1) // 2
    layers: list[nn.Module] = [nn.ReflectionPad2d(side)] if once else []
    for layer in module.layers:
        if isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1):
            layer.padding = (0, 0)
            layers += [] if once else [nn.ReflectionPad2d(layer.dilation[0])]
        layers.append(layer)
    module.layers = nn.Sequential(*layers)
    return module


VARIANTS = (
    Variant(PAPER),
    Variant("dilations: all ones", dilated(*[1] * 7)),
    Variant("dilations: HDC, 1 2 5 9 2 5 9", dilated(1, 2, 5, 9, 2, 5, 9)),
    Variant(f"dilations: atrous design, {_said(DESIGNED)}", dilated(*DESIGNED)),
    Variant(f"dilations: evenest of seven layers, {_said(EVENEST)}", dilated(*EVENEST)),
    Variant("dilations: largest first, 16 8 4 2 1 1 1", dilated(16, 8, 4, 2, 1, 1, 1)),
    Variant("dilations: even only, 2 2 2 4 8 14 2", dilated(2, 2, 2, 4, 8, 14, 2)),
    Variant("start: identity and noise of 0.01", partial(ContextModule, noise=0.01)),
    Variant("start: He et al.", started_anew),
    Variant("padding: zeros once, round the scores", partial(ContextModule, padding="input")),
    Variant("padding: reflection of every layer's input", partial(padded_by_reflection, once=False)),
    Variant("padding: reflection once, round the scores", partial(padded_by_reflection, once=True)),
    Variant("training: crops of 320 px", training={"crop_size": (320, 320)}),
    Variant("training: learning rate 3e-4", training={"learning_rate": 3e-4}),
    Variant("training: 600 updates", training={"num_steps": 600}),
)


def main() -> None:
    """Train and judge what the JSON file lacks; then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--front-ends", type=Path, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", help="of these front ends; 0, 1, ... unless given")
    parser.add_argument("--scores", type=Path, default=Path("runs/scores"))
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    console = Console(stderr=True)
    seeds = arguments.seeds or range(len(arguments.front_ends))
    for seed, path in zip(seeds, arguments.front_ends, strict=True):
        bench = Bench.of(path, arguments.data, arguments.scores, seed=seed)
        for progress in bench.fill():
            if progress.done == progress.total:
                console.print(f"seed {seed}: {progress.part} stored")
        for name, judge in (("front end alone", bench.judge_alone), *bench.judges()):
            if str(seed) not in known_of(arguments.json).get(name, {}):
                result = judge()
                known = known_of(arguments.json)  # others may have noted something meanwhile
                known.setdefault(name, {})[str(seed)] = result
                write_text(arguments.json, json.dumps(known, indent=1) + "\n")
                console.print(f"seed {seed}, {name}: {100 * result['mean_iou']:.1f}")
    Console(width=200).print(table_of(known_of(arguments.json)))


def known_of(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Scores by variant and seed, as far as they are there."""
    return json.loads(path.read_text()) if path.exists() else {}


@dataclass(frozen=True, slots=True)
class Bench:
    """A front end and its scores of both splits."""

    front_end: DenseNetwork
    learned_from: ScoreCache
    judged_on: ScoreCache
    stage: Stage
    seed: int

    @classmethod
    def of(cls, path: Path, data: Path, scores: Path, *, seed: int) -> "Bench":
        """The front end of a checkpoint, frozen."""
        front_end = load_network(path).eval()
        train, val = (
            ScoreCache.of(front_end, open_dataset(data, split), scores, precision="auto")
            for split in ("train", "val")
        )
        return cls(front_end, train, val, load_toml(RECIPE, TrainConfig).context, seed)

    def fill(self) -> Job[None]:
        """Store the scores that are missing."""
        for cache in (self.learned_from, self.judged_on):
            yield from cache.fill(self.front_end, mirror=False, device="cpu", precision="auto")

    def judges(self) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
        """A name and what trains and judges the module, for each variant."""
        for variant in VARIANTS:
            yield variant.name, lambda variant=variant: self.judge(variant)

    def judge(self, variant: Variant) -> dict[str, float]:
        """Train the variant, then its scores on the split that judges."""
        torch.manual_seed(self.seed)
        context = variant.build(self.front_end.num_classes)
        self._train(context, replace(self.stage, **variant.training))
        return self._scores(context)

    def judge_alone(self) -> dict[str, float]:
        """What the module starts from."""
        return self._scores(nn.Identity())

    def _train(self, context: ContextModule, stage: Stage) -> None:
        config = TrainConfig(seed=self.seed, context=stage)
        (plan,) = plan_stages(config, DilatedNet(front_end=self.front_end, context=context), None)
        fabric = Fabric(accelerator="cpu", devices=1)
        optimizer = build_optimizer(context, stage, new_layers=plan.new_layers)
        trainee = Trainee(*fabric.setup(context, optimizer))
        train_(context)
        examples = cached_examples(self.learned_from, stage, fabric=fabric, seed=plan.data_seed, start=0)
        steps = range(stage.num_steps)
        deque(fit(trainee, examples, fabric=fabric, rule=plan.rule, steps=steps), maxlen=0)

    def _scores(self, context: nn.Module) -> dict[str, float]:
        geometry, num_classes = self.front_end.geometry, self.front_end.num_classes
        total = Counts.zeros(num_classes)
        for index in range(len(self.judged_on.dataset)):
            stored = self.judged_on.read(index)
            with torch.no_grad():
                logits = context(torch.from_numpy(stored["scores"].astype(np.float32))[None])[0]
            labels = stored["labels"]
            size = (labels.shape[0], labels.shape[1])
            label_map = upsample_labels(logits, size, stride=geometry.output_stride, center=geometry.center)
            total += Counts.of_image(label_map, labels, num_classes)
        scores = Scores.from_counts(total, names=self.judged_on.dataset.label_set.names)
        return {"mean_iou": scores.mean_iou, "boundary_f": scores.boundary_f_score}


def table_of(known: dict[str, dict[str, dict[str, float]]]) -> Table:
    """Means over the front ends; what each gains on the same one, over none and over the paper's module."""
    table = Table(box=MARKDOWN)
    for column in ("variant", *COLUMNS):
        table.add_column(column, justify="left" if column == "variant" else "right")
    alone = known["front end alone"]
    modules = {variant.name: variant.build(11) for variant in VARIANTS}
    for name in ("front end alone", *(name for name in modules if name in known)):
        by_seed, module = known[name], modules.get(name)
        table.add_row(
            name,
            f"{sum(weights.numel() for weights in module.parameters()):,}" if module else "",
            str(module.receptive_field) if module else "1",
            f"{100 * seen_by(module):.0f}%" if module else "100%",
            f"{100 * statistics.mean(result['mean_iou'] for result in by_seed.values()):.1f}",
            _gains(by_seed, alone),
            _gains(by_seed, known.get(PAPER, {})),
            f"{100 * statistics.mean(result['boundary_f'] for result in by_seed.values()):.1f}",
        )
    return table


def _gains(by_seed: dict[str, dict[str, float]], base: dict[str, dict[str, float]]) -> str:
    """Seed by seed, in points."""
    both = sorted(by_seed.keys() & base.keys())
    return ", ".join(f"{100 * (by_seed[seed]['mean_iou'] - base[seed]['mean_iou']):+.1f}" for seed in both)


def seen_by(module: ContextModule) -> float:
    """Share of the cells of the field that count, along both axes."""
    dilations = [layer.dilation[0] for layer in module.layers if isinstance(layer, nn.Conv2d)][:-1]
    return Schedule(tuple(dilations)).fraction ** 2


if __name__ == "__main__":
    main()
