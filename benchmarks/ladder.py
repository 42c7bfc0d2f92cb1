"""The ladder of Yu & Koltun's table 4: front end, context modules, dense CRF, CRF-RNN, joint training.

Run it as `python benchmarks/ladder.py --data DATA --init vgg16_imagenet_conv.safetensors --output FOLDER
--json FILE --seeds 0 1 2`. What was scored and found is kept in the JSON file, so that seeds may be run one
by one, on any machine; `--seeds` without any prints the table.

Each seed trains one front end; both context modules learn from its stored scores; settings of the dense CRF
are searched on training images, for each rung with seed 0, which comes first; the CRF-RNN starts from those
and is trained end to end. What is trained jointly, without a CRF, for as many updates is its control. Stages
are those of `recipes/camvid_light.toml` and `camvid_crf_rnn.toml`. Everything resumes: started again, it does
what is missing. The networks are judged on the split `val`.
"""

import argparse
import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from atrous.checkpoint import load_checkpoint, load_header, save_checkpoint
from atrous.config import load_toml
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.stored import with_crf
from atrous.files import write_text
from atrous.jobs import evaluate, refine, train
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.progress import Job, T
from atrous.jobs.refine_search import SearchOutcome
from atrous.training.settings import Stage

RECIPES = Path(__file__).parent.parent / "recipes"
NETWORKS = {  # rung: network, context module
    "front end": ("frontend_light", "none"),
    "+ Basic": ("dilation8_light", "none"),
    "+ Large": ("frontend_light", "large"),
}
NOISE = 0.01  # of the Large module's start, as the released filler's; Basic starts as the identity
SEARCH_SEED, SEARCH_IMAGES, SEARCH_BUDGET = 0, 24, 60
WAYS = ("no CRF", "dense CRF", "joint, no CRF", "joint, dense CRF", "CRF-RNN")


def main() -> None:
    """Do what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--init", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    arguments = parser.parse_args()
    ladder = Ladder(arguments.data, arguments.init, arguments.output, arguments.json)
    for seed in arguments.seeds:  # what costs most comes last
        for rung in NETWORKS:
            ladder.note(f"{rung}, no CRF", seed, ladder.rung(rung, seed))
    for seed in arguments.seeds:
        for rung in NETWORKS:
            ladder.note(f"{rung}, joint, no CRF", seed, ladder.joint(rung, seed))
    for seed in arguments.seeds:
        for rung in NETWORKS:
            ladder.judge(f"{rung}, dense CRF", seed, ladder.dense(rung, seed, ladder.rung(rung, seed)))
            ladder.judge(
                f"{rung}, joint, dense CRF", seed, ladder.dense(rung, seed, ladder.joint(rung, seed))
            )
    for seed in arguments.seeds:
        for rung in NETWORKS:
            ladder.note(f"{rung}, CRF-RNN", seed, ladder.learned(rung, seed))
    Console(width=200).print(table_of(ladder.known["mean_iou"]))


@dataclass(frozen=True, slots=True)
class Ladder:
    """The runs, and the file of what they scored."""

    data: Path
    init: Path
    folder: Path
    record: Path

    @property
    def known(self) -> dict[str, Any]:
        """Mean IoU by network and seed; settings of the dense CRF by rung."""
        return json.loads(self.record.read_text()) if self.record.exists() else {"mean_iou": {}, "crf": {}}

    def keep(self, kind: str, name: str, value: Any) -> None:
        """Note what became known, beside what others may have noted meanwhile."""
        known = self.known
        known[kind][name] = {**known[kind].get(name, {}), **value}
        write_text(self.record, json.dumps(known, indent=1) + "\n")

    def note(self, name: str, seed: int, checkpoint: Path) -> None:
        """Note what a run's own validation says of the network that it leaves."""
        figure = load_header(checkpoint)["progress"]["val_mean_iou"]
        self.keep("mean_iou", name, {str(seed): figure})
        Console(stderr=True).print(f"{name}, seed {seed}: {100 * figure:.1f}")

    def judge(self, name: str, seed: int, checkpoint: Path) -> None:
        """Judge a network that no run has validated, unless that is done."""
        if str(seed) not in self.known["mean_iou"].get(name, {}):
            settings = InferenceSettings(precision="auto", engine="torch")
            result = told(evaluate.run(evaluate.EvaluateConfig(self.data, checkpoint, inference=settings)))
            self.keep("mean_iou", name, {str(seed): result.scores.figure})
            Console(stderr=True).print(f"{name}, seed {seed}: {100 * result.scores.figure:.1f}")

    def rung(self, name: str, seed: int) -> Path:
        """The network of a rung."""
        recipe = load_toml(RECIPES / "camvid_light.toml", train.TrainConfig)
        network, module = NETWORKS[name]
        if name == "front end":
            config = replace(recipe, network=network, context=Stage(), joint=Stage(), init=self.init)
        else:
            config = replace(recipe, network=network, context_module=module, front_end=Stage(), joint=Stage())
            noise = NOISE if module == "large" else 0.0
            config = replace(config, noise=noise, init=self.rung("front end", seed))
        return self._trained(config, name, seed)

    def joint(self, rung: str, seed: int) -> Path:
        """The rung's network, all of it trained on."""
        recipe = load_toml(RECIPES / "camvid_light.toml", train.TrainConfig)
        network, module = NETWORKS[rung]
        config = replace(recipe, network=network, context_module=module, front_end=Stage(), context=Stage())
        return self._trained(replace(config, init=self.rung(rung, seed)), f"{rung} joint", seed)

    def dense(self, rung: str, seed: int, path: Path) -> Path:
        """A network with the dense CRF that was found for the rung."""
        network = load_checkpoint(path)
        if rung not in self.known["crf"]:
            self.keep("crf", rung, with_crf(network, self._found(rung, seed)).crf)
        output = path.with_name(f"{path.stem}_dense_crf.safetensors")
        save_checkpoint(output, replace(network, crf=self.known["crf"][rung]))
        return output

    def _found(self, rung: str, seed: int) -> DenseCRF:
        """The best of the settings tried on training images, be it better than no CRF or not."""
        if seed != SEARCH_SEED:
            raise SystemExit(
                f"settings of the CRF for {rung} are found with seed {SEARCH_SEED}; run that first"
            )
        output = self.folder / f"found {rung}.safetensors"
        output.unlink(missing_ok=True)  # of a search that was stopped
        config = refine.RefineConfig(
            search=self.data,
            split="train",
            checkpoint=self.rung(rung, seed),
            output=output,
            num_images=SEARCH_IMAGES,
            budget=SEARCH_BUDGET,
            precision="auto",
        )
        outcome = told(refine.run(config))
        assert isinstance(outcome, SearchOutcome)
        assert outcome.result.best.crf
        if outcome.stopped:
            raise SystemExit("a search was stopped; started again, it begins anew")
        return outcome.result.best.crf

    def learned(self, rung: str, seed: int) -> Path:
        """The rung's network and a CRF-RNN that starts from what was found, trained together."""
        recipe = load_toml(RECIPES / "camvid_crf_rnn.toml", train.TrainConfig)
        network, module = NETWORKS[rung]
        start = self.dense(rung, seed, self.rung(rung, seed))
        config = replace(recipe, network=network, context_module=module, init=start)
        return self._trained(config, f"{rung} crf_rnn", seed)

    def _trained(self, config: train.TrainConfig, name: str, seed: int) -> Path:
        """The network that the config leaves; goes on with a run that was stopped."""
        folder = self.folder / f"seed_{seed}" / name
        *_, last = config.stages
        done = folder / f"{last}.safetensors"
        if not done.exists():
            config = replace(
                config, data=self.data, output=folder, seed=seed, score_cache=self.folder / "scores"
            )
            resumes = (folder / "recipe.toml").exists()
            told(train.run(train.TrainConfig(output=folder, resume=True) if resumes else config))
        return done


def told(job: Job[T]) -> T:
    """Run a job, saying what it says."""
    console = Console(stderr=True)
    while True:
        try:
            progress = next(job)
        except StopIteration as stop:
            return stop.value
        if progress.message:
            console.print(progress.message, markup=False, highlight=False)


def table_of(results: dict[str, dict[str, float]]) -> Table:
    """Means over seeds, least and most, and what each rung gains over the front end, seed by seed."""
    table = Table(box=MARKDOWN)
    for column in ("way", *NETWORKS):
        table.add_column(column, justify="left" if column == "way" else "right")
    base = results["front end, no CRF"]
    for way in WAYS:
        table.add_row(way, *(_cell(results.get(f"{rung}, {way}", {}), base) for rung in NETWORKS))
    return table


def _cell(by_seed: dict[str, float], base: dict[str, float]) -> str:
    if not by_seed:
        return "-"
    values = [100 * value for value in by_seed.values()]
    gains = ", ".join(f"{100 * (by_seed[seed] - base[seed]):+.1f}" for seed in sorted(by_seed))
    return f"{statistics.mean(values):.1f} ({min(values):.1f}-{max(values):.1f}; {gains})"


if __name__ == "__main__":
    main()
