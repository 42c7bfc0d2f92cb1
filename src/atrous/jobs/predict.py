"""Label every pixel of images: files, folders, globs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from atrous.data.images import IMAGE_SUFFIXES
from atrous.errors import DataError, OutputError
from atrous.jobs.crf_settings import describe, settings_of
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.progress import Job, Progress

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

NAMED = 5  # failed files named in the table


@dataclass(frozen=True, slots=True)
class PredictConfig:
    """Label every pixel of images.

    Attributes:
        images: Image files, folders of them (with all folders inside), or globs.
        checkpoint: Made by `atrous train` or `atrous import`.
        output: Folder for the label maps, NAME.png of the image's size with the classes' colors, and the
            overlays, NAME.overlay.jpg; files of a folder keep their place in it.
        overlay: The image under the colors of its labels is written too; --no-overlay leaves it out.
        opacity: Of the colors in the overlay, 0-1.
        save_probabilities: Also write NAME.npz with `probabilities` (k, h, w), float16.
        overwrite: Replace files that are there already.
        inference: How the network is asked.
    """

    images: Annotated[Positional[tuple[str, ...]], arg(metavar="IMAGE [IMAGE ...]")]
    checkpoint: Path
    output: Annotated[Path, arg(aliases=("-o",))] = Path("predictions")
    overlay: bool = True
    opacity: float = 0.5
    save_probabilities: bool = False
    overwrite: bool = False
    inference: Annotated[InferenceSettings, arg(name="")] = field(default_factory=InferenceSettings)


@dataclass(frozen=True, slots=True)
class Plan:
    """One image and the files it becomes; `stem` is a path without ending."""

    image: Path
    stem: Path

    @property
    def label_map(self) -> Path:
        """Palette PNG."""
        return self.stem.with_name(f"{self.stem.name}.png")

    @property
    def overlay(self) -> Path:
        """JPEG."""
        return self.stem.with_name(f"{self.stem.name}.overlay.jpg")

    @property
    def probabilities(self) -> Path:
        """Npz of scores."""
        return self.stem.with_name(f"{self.stem.name}.npz")

    def files(self, config: PredictConfig) -> Iterator[Path]:
        """What will be written."""
        yield self.label_map
        if config.overlay:
            yield self.overlay
        if config.save_probabilities:
            yield self.probabilities


@dataclass(frozen=True, slots=True)
class PredictResult:
    """What was written, which images could not be read and why, and the CRF's settings if one was applied."""

    written: tuple[Path, ...]
    failed: dict[str, str] = field(default_factory=dict)
    crf: dict[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        """1 if an image failed."""
        return 1 if self.failed else 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"written": [str(path) for path in self.written], "failed": self.failed, "crf": self.crf}

    def to_table(self) -> str:
        """How many, where, and what failed."""
        maps = [path for path in self.written if path.suffix == ".png"]
        lines = [f"{len(maps)} label map{'s' * (len(maps) != 1)} written"]
        if maps:
            lines[0] += f", the first is {maps[0]}"
        if self.crf is not None:
            lines.append(f"refined by a CRF: {describe(self.crf)}")
        if self.failed:
            lines.append(f"{len(self.failed)} image{'s' * (len(self.failed) != 1)} failed:")
            lines += [f"  {reason}" for reason in list(self.failed.values())[:NAMED]]
        return "\n".join(lines)


def run(config: PredictConfig) -> Job[PredictResult]:
    """Predict; yields progress, returns what was written. A broken image does not stop the others.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If the protocol is impossible.
        DataError: If no image is found.
        OutputError: If an output exists and may not be overwritten, or cannot be written.
    """
    plans = plan_outputs(config.images, config.output)
    _refuse_losses(plans, config)
    predictor = config.inference.predictor(config.checkpoint)
    written: list[Path] = []
    failed: dict[str, str] = {}
    for done, plan in enumerate(plans, start=1):
        message = ""
        try:
            written += _predict(plan, predictor, config)
        except DataError as error:
            failed[str(plan.image)] = message = str(error)
        yield Progress(done, len(plans), "predict", message=message)
    crf = None if predictor.crf is None else settings_of(predictor.crf)
    return PredictResult(tuple(written), failed, crf)


def plan_outputs(patterns: tuple[str, ...], output: Path) -> tuple[Plan, ...]:
    """Every image that the patterns name, once, and where its results go.

    Of folders and globs, files in the output folder do not count.

    An image of a folder keeps its place below it. Two images that differ only in their ending (a.jpg, a.png)
    keep it in the names of their results (a.jpg.png, a.png.png).

    Raises:
        DataError: If a pattern names nothing that is there, or two images would have the same results.
    """
    relative = {
        path: place
        for pattern in patterns
        for path, place in _expand(pattern)
        if Path(pattern) == path or output.resolve() not in path.resolve().parents  # not what we wrote
    }
    stems = Counter(place.with_suffix("") for place in relative.values())
    plans: dict[Path, Plan] = {}
    for path, place in relative.items():
        stem = output / (place if stems[place.with_suffix("")] > 1 else place.with_suffix(""))
        if stem in plans:
            raise DataError(
                f"{plans[stem].image} and {path} would have the same results; give the folder above both, or "
                "each an --output of its own"
            )
        plans[stem] = Plan(path, stem)
    return tuple(plans.values())


def _expand(pattern: str) -> Iterator[tuple[Path, Path]]:
    """Images that a file name, folder or glob stands for, each with its place in the output."""
    root = Path(pattern)
    if root.is_dir():
        found = sorted(
            path
            for path in root.rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        )
        if not found:
            raise DataError(f"no image in {root}; images end in {', '.join(sorted(IMAGE_SUFFIXES))}")
        yield from ((path, path.relative_to(root)) for path in found)
    elif root.is_file():
        yield root, Path(root.name)
    else:
        matches = sorted(Path(root.anchor).glob(pattern.removeprefix(root.anchor)))
        if not matches:
            raise DataError(f"no file, folder or glob {pattern}; check the path")
        for match in matches:
            yield from _expand(str(match))


def _refuse_losses(plans: tuple[Plan, ...], config: PredictConfig) -> None:
    """Never write on what was given, and on what is there only if told so."""
    given = {plan.image.resolve() for plan in plans}
    existing = [path for plan in plans for path in plan.files(config) if path.exists()]
    for path in existing:
        if path.resolve() in given:
            raise OutputError(
                f"{path} is one of the images and would be overwritten; choose another --output"
            )
    if existing and not config.overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise OutputError(
            f"{existing[0]}{more} would be overwritten; add --overwrite or choose another --output"
        )


def _predict(plan: Plan, predictor: "Predictor", config: PredictConfig) -> Iterator[Path]:
    """Write the results of one image; yields each path once it stands."""
    from atrous.data.images import write_image, write_label_map
    from atrous.data.score_file import write_probabilities

    prediction = predictor(plan.image)
    write_label_map(plan.label_map, prediction.label_map, predictor.label_set)
    yield plan.label_map
    if config.overlay:
        write_image(plan.overlay, prediction.overlay(opacity=config.opacity))
        yield plan.overlay
    if config.save_probabilities:
        write_probabilities(plan.probabilities, prediction.probabilities())
        yield plan.probabilities
