"""The command `atrous`: a table of verbs, one job each, and what a terminal shows of them."""

import argparse
import dataclasses
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from atrous import __version__
from atrous.config import load_toml, suggestion
from atrous.errors import AtrousError, StoppedError, printable
from atrous.jobs.progress import drain, is_first_process

LINE_EVERY = 30  # seconds, where a log takes the place of bars

# verb: module, its config, what the verb does
VERBS = {
    "demo": (
        "jobs.demo",
        "DemoConfig",
        "the whole story on built-in data: train, evaluate, predict, a report",
    ),
    "check": ("jobs.check", "CheckConfig", "explain every mistake in a data set, before any training"),
    "train": ("jobs.train", "TrainConfig", "train a network on a data set; picks a recipe unless given one"),
    "compare": (
        "jobs.compare",
        "CompareConfig",
        "train several networks under one budget: one table, one picture",
    ),
    "evaluate": ("jobs.evaluate", "EvaluateConfig", "score a checkpoint on a data set"),
    "predict": ("jobs.predict", "PredictConfig", "label every pixel of images, GeoTIFFs and volumes"),
    "refine": (
        "jobs.refine",
        "RefineConfig",
        "sharpen scores by a dense CRF, or find its settings on labeled images",
    ),
    "analyze": ("jobs.analyze", "AnalyzeConfig", "compute receptive field, holes and cost of any network"),
    "design": ("jobs.design", "DesignConfig", "find dilations without holes for a wanted receptive field"),
    "dilate": ("jobs.dilate", "DilateConfig", "make a classifier dense at a smaller output stride, verified"),
    "import": (
        "jobs.import_weights",
        "ImportConfig",
        "bring weights of Caffe, torchvision and Keras into one file",
    ),
    "export": ("jobs.export", "ExportConfig", "write a network as ONNX, OpenVINO or a program, with proof"),
    "generate": ("jobs.generate", "GenerateConfig", "generate sound from a checkpoint, sample by sample"),
    "serve": ("web.serve", "ServeConfig", "a web page and an HTTP API that label images, on this machine"),
    "models": ("jobs.models", "ModelsConfig", "list the catalog of networks"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """How the result is shown.

    Attributes:
        json: Print the result as one JSON object.
        debug: Show the traceback of an error.
    """

    json: bool = False
    debug: bool = False


@dataclass(frozen=True, slots=True)
class ShownWithRecipe(Shown):
    """How the result is shown, and where the defaults come from.

    Attributes:
        recipe: TOML file whose values are the defaults of all that follows.
    """

    recipe: Path | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code: 0 done, 1 error or mistake found, 2 command not understood."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"atrous {__version__}")
        return 0
    if words[0] not in VERBS:
        return _fail(f'atrous has no verb "{words[0]}"; {suggestion(words[0], VERBS)}', code=2)
    debug = "--debug" in words
    try:
        return _run(words[0], words[1:])
    except StoppedError as stopped:
        return _fail(str(stopped), code=stopped.exit_code)
    except AtrousError as error:
        if debug:
            traceback.print_exc()
        return _fail(f"error: {error}", code=1)
    except KeyboardInterrupt:
        return _fail("interrupted", code=130)
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _overview() -> str:
    verbs = "\n".join(f"  {verb:<10}{what}" for verb, (_, _, what) in VERBS.items())
    return (
        "usage: atrous VERB [...]\n\n"
        "Dense prediction with dilated convolutions.\n\n"
        f"{verbs}\n\n"
        "atrous VERB --help shows what a verb takes; --version the version."
    )


def _fail(message: str, *, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _run(verb: str, words: list[str]) -> int:
    """Parse, run the job under a progress bar, print its result."""
    module_name, config_name, what = VERBS[verb]
    module = importlib.import_module(f"atrous.{module_name}")
    description = f"{what[0].upper()}{what[1:]}."
    config, shown = _parse(
        getattr(module, config_name), words, prog=f"atrous {verb}", description=description
    )
    if not is_first_process():
        return drain(module.run(config)).exit_code
    result = _draw(module.run(config))
    print(json.dumps(result.to_dict()) if shown.json else printable(result.to_table(), keep="\n\t"))
    return result.exit_code


def _parse(config_type: type, words: list[str], *, prog: str, description: str) -> tuple[Any, Shown]:
    """The config and how to show its result; a recipe's values are the defaults that flags override."""
    import tyro

    shown_type = Shown
    default: Any = tyro.MISSING_NONPROP
    if getattr(config_type, "HAS_RECIPES", False):
        shown_type, default = ShownWithRecipe, _read_recipe(config_type, words)
    call = dataclasses.make_dataclass(
        "Call",
        [
            ("config", Annotated[config_type, tyro.conf.arg(name="")]),
            ("shown", Annotated[shown_type, tyro.conf.arg(name="")]),
        ],
    )
    parsed = tyro.cli(
        call,
        args=words,
        prog=prog,
        description=description,
        default=default if default is tyro.MISSING_NONPROP else call(default, shown_type()),
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    return parsed.config, parsed.shown


def _read_recipe(config_type: type, words: list[str]) -> Any:
    """The config that `--recipe FILE` holds, or a fresh one."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--recipe", type=Path)
    recipe = parser.parse_known_args(words)[0].recipe
    return load_toml(recipe, config_type) if recipe else config_type()


def _draw(job: Generator[Any, None, Any]) -> Any:
    """Run a job to its end and return its result; on the error stream, bars for people and lines for logs."""
    from rich.console import Console

    console = Console(stderr=True)
    show = _show_bars if console.is_terminal else _show_lines
    with show(console) as tell:
        while True:
            try:
                said = next(job)
            except StopIteration as stop:
                return stop.value
            if said.message:
                console.print(
                    printable(said.message, keep="\n\t"), highlight=False, markup=False, soft_wrap=True
                )
            elif said.total:
                tell(said)


@contextmanager
def _show_bars(console: Any) -> Iterator[Callable[[Any], None]]:
    """A bar for each part of the job."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn())
    bars = Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[figures]}"), console=console)
    part = None

    def tell(said: Any) -> None:
        nonlocal part
        if said.part != part:
            bars.start()
            part = said.part
            bars.add_task(part, total=said.total, figures="")
        bars.update(bars.task_ids[-1], completed=said.done, total=said.total, figures=_figures(said))

    try:
        yield tell
    finally:
        bars.stop()


@contextmanager
def _show_lines(console: Any) -> Iterator[Callable[[Any], None]]:
    """A line where a part of the job ends, and every half minute before."""
    last = time.monotonic()

    def tell(said: Any) -> None:
        nonlocal last
        if said.done == said.total or time.monotonic() - last > LINE_EVERY:
            last = time.monotonic()
            line = f"{said.part} {said.done}/{said.total}  {_figures(said)}".rstrip()
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    yield tell


def _figures(said: Any) -> str:
    return "  ".join(f"{name} {value}" for name, value in said.values.items())
