"""Refine the scores of an image by a dense CRF, or find the settings of one for a checkpoint."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from atrous.errors import ConfigError, DataError, ShapeError
from atrous.files import refuse_existing
from atrous.jobs.crf_settings import CRFSettings, choose_crf, describe, settings_of
from atrous.jobs.progress import Job, Progress

if TYPE_CHECKING:
    from atrous.checkpoint import Checkpoint
    from atrous.data.labels import LabelSet
    from atrous.inference.prediction import Prediction
    from atrous.jobs.refine_search import SearchOutcome


IMAGE_ONLY = ("overlay", "opacity", "save_probabilities")
SEARCH_ONLY = ("split", "num_images", "budget", "device", "precision")


@dataclass(frozen=True, slots=True)
class RefineConfig:
    """Refine scores of an image by a dense CRF; or, with --search, find its settings on labeled images.

    Attributes:
        image: The image that the scores are of.
        scores: npz with `logits` or `probabilities` (k, h, w) at the image's size, such as
            `atrous predict --save-probabilities` writes.
        output: PNG of the refined label map, refined.png unless given; with --search the checkpoint to write,
            the one given unless said.
        checkpoint: Brings names and colors of the classes, and the CRF that it carries; needed for --search.
        labels: A labels.toml that brings names and colors of the classes instead.
        overlay: The image under the colors of its labels is written too; --no-overlay leaves it out.
        opacity: Of the colors in the overlay, 0-1.
        save_probabilities: Also write NAME.npz with `probabilities` (k, h, w), float16.
        overwrite: Replace files that are there already, and with --search a learned CRF.
        settings: Of the CRF.
        search: Folder of a data set: try settings on it and save the best into the checkpoint. Where none
            beats no CRF, one that the checkpoint carries is taken out.
        split: Part of the data set to search on.
        num_images: Most images to search on, spread evenly over the split; 0 for all.
        budget: Most settings to try.
        device: auto, cpu, cuda, mps; for --search.
        precision: Of the network in --search: float32, bfloat16, or auto: bfloat16 where that is fast.

    Raises:
        ConfigError: If there is neither an image with scores nor a data set with a checkpoint, or both.
    """

    image: Annotated[Positional[Path | None], arg(metavar="IMAGE")] = None
    scores: Path | None = None
    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    checkpoint: Path | None = None
    labels: Path | None = None
    overlay: bool = True
    opacity: float = 0.5
    save_probabilities: bool = False
    overwrite: bool = False
    settings: Annotated[CRFSettings, arg(name="")] = field(default_factory=CRFSettings)
    search: Path | None = None
    split: str = "val"
    num_images: int = 25
    budget: int = 100
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if (self.image is None) != (self.scores is None) or (self.image is None) == (self.search is None):
            raise ConfigError(
                "give an image with its scores (IMAGE --scores FILE.npz), or data to find settings on "
                "(--search DATA --checkpoint FILE)"
            )
        if self.search is not None and (self.checkpoint is None or self.labels is not None):
            raise ConfigError("--search needs a --checkpoint, which knows its classes; leave out --labels")
        if self.checkpoint is not None and self.labels is not None:
            raise ConfigError("a checkpoint and labels both name the classes; leave out one of them")
        suffix = ".png" if self.search is None else ".safetensors"
        if self.output is not None and self.output.suffix != suffix:
            raise ConfigError(f"{self.output} is no name of a {suffix} file; give --output one")
        self._refuse_idle()
        if self.num_images < 0:
            raise ConfigError(f"num_images is {self.num_images}; give at least 1, or 0 for all")

    def _refuse_idle(self) -> None:
        """Flags of the other way to use the verb are mistakes, not to be ignored."""
        idle, way = (SEARCH_ONLY, "an image") if self.search is None else (IMAGE_ONLY, "--search")
        for item in fields(self):
            if item.name in idle and getattr(self, item.name) != item.default:
                raise ConfigError(f"{item.name} says nothing with {way}; leave it out")


@dataclass(frozen=True, slots=True)
class RefineResult:
    """What refinement changed.

    Attributes:
        written: The files.
        crf: Its settings, or that it was learned.
        changed: Share of the pixels whose class is another one now.
        shares: Class -> share of the pixels before and after, of all classes that have any.
    """

    written: tuple[Path, ...]
    crf: dict[str, Any]
    changed: float
    shares: dict[str, tuple[float, float]]
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "written": [str(path) for path in self.written],
            "crf": self.crf,
            "changed": self.changed,
            "shares": {name: list(both) for name, both in self.shares.items()},
        }

    def to_table(self) -> str:
        """What was written, by which settings, and the share of each class."""
        width = max(len("pixels, %"), *map(len, self.shares))
        lines = [
            f"{name:<{width}}  {100 * old:6.1f}  {100 * new:6.1f}" for name, (old, new) in self.shares.items()
        ]
        return "\n".join(
            [
                f"{self.written[0]} written; {100 * self.changed:.1f}% of the pixels changed their class",
                f"CRF: {describe(self.crf)}",
                f"{'pixels, %':<{width}}  before   after",
                *lines,
            ]
        )


def run(config: RefineConfig) -> "Job[RefineResult | SearchOutcome]":
    """Refine or search; yields progress, returns what changed or what was found.

    Raises:
        CheckpointError: If the checkpoint cannot be read, or is broken.
        ConfigError: If settings contradict the CRF that the checkpoint carries.
        DataError: If image, scores, labels or data set cannot be read.
        OutputError: If an output exists and may not be overwritten, or cannot be written.
        ShapeError: If image and scores differ in size, or scores and classes in number.
        StoppedError: If Ctrl-C or SIGTERM stopped a search before it tried anything.
    """
    if config.search is not None:
        from atrous.jobs.refine_search import search

        return (yield from search(config))
    return (yield from _refine(config))


def _refine(config: RefineConfig) -> Job[RefineResult]:
    import torch

    from atrous.checkpoint import load_checkpoint
    from atrous.crf.stored import refined
    from atrous.data.images import read_image
    from atrous.data.score_file import read_logits
    from atrous.inference.prediction import Prediction

    assert config.image is not None
    assert config.scores is not None
    files = _files(config)
    for path in files.values():
        refuse_existing(path, overwrite=config.overwrite)
    image, logits = read_image(config.image), read_logits(config.scores)
    if image.shape[:2] != logits.shape[1:]:
        raise ShapeError(
            f"{config.scores} has scores of {logits.shape[1]} x {logits.shape[2]} px for an image of "
            f"{image.shape[0]} x {image.shape[1]} px; give scores at every pixel of this image"
        )
    checkpoint = load_checkpoint(config.checkpoint) if config.checkpoint else None
    label_set = _label_set(config, checkpoint, len(logits))
    crf = choose_crf(config.settings, checkpoint, num_classes=len(logits))
    yield Progress(0, 1, "refine")
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    before = Prediction(image, torch.from_numpy(logits), label_set)
    with torch.inference_mode():
        after = Prediction(image, refined(crf, before.logits[None], pixels)[0], label_set)
    _write(files, after, opacity=config.opacity)
    yield Progress(1, 1, "refine")
    return RefineResult(tuple(files.values()), settings_of(crf), *_changes(before, after))


def _files(config: RefineConfig) -> dict[str, Path]:
    """What is written, by kind; the label map first."""
    output = config.output or Path("refined.png")
    files = {"label_map": output}
    if config.overlay:
        files["overlay"] = output.with_suffix(".overlay.jpg")
    if config.save_probabilities:
        files["probabilities"] = output.with_suffix(".npz")
    given = {path.resolve() for path in (config.image, config.scores) if path is not None}
    for path in files.values():
        if path.resolve() in given:
            raise ConfigError(
                f"{path} is one of the inputs and would be overwritten; choose another --output"
            )
    return files


def _label_set(config: RefineConfig, checkpoint: "Checkpoint | None", num_classes: int) -> "LabelSet":
    """Names and colors, from whatever brings them."""
    from atrous.config import load_toml
    from atrous.data.label_file import LabelFile
    from atrous.data.labels import LabelSet

    if checkpoint is not None:
        label_set = LabelSet.from_dict(checkpoint.labels)
    elif config.labels is not None:
        if not config.labels.is_file():
            raise DataError(f"no labels.toml at {config.labels}; give the path of one, or a --checkpoint")
        label_set = load_toml(config.labels, LabelFile).label_set
    else:
        label_set = LabelSet.unnamed(num_classes)
    if label_set.num_classes != num_classes:
        raise ShapeError(
            f"{config.scores} has scores of {num_classes} classes, and {config.checkpoint or config.labels} "
            f"names {label_set.num_classes}; give the one that the scores were made with"
        )
    return label_set


def _write(files: dict[str, Path], prediction: "Prediction", *, opacity: float) -> None:
    from atrous.data.images import write_image, write_label_map
    from atrous.data.score_file import write_probabilities

    write_label_map(files["label_map"], prediction.label_map, prediction.label_set)
    if "overlay" in files:
        write_image(files["overlay"], prediction.overlay(opacity=opacity))
    if "probabilities" in files:
        write_probabilities(files["probabilities"], prediction.probabilities())


def _changes(before: "Prediction", after: "Prediction") -> tuple[float, dict[str, tuple[float, float]]]:
    """Share of pixels with another class, and shares of the classes before and after."""
    import numpy as np

    old, new, names = before.label_map, after.label_map, before.label_set.names
    shares = [np.bincount(labels.ravel(), minlength=len(names)) / labels.size for labels in (old, new)]
    both = {
        name: (float(first), float(second))
        for name, first, second in zip(names, *shares, strict=True)
        if first or second
    }
    return float((old != new).mean()), both
