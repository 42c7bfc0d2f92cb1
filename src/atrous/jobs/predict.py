"""Label or measure every pixel of images, GeoTIFFs and volumes: files, folders, globs, buckets."""

import signal
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from atrous.data.places import place_of
from atrous.errors import ConfigError, StoppedError
from atrous.files import remove_leftovers
from atrous.inference.pipeline import predict_works
from atrous.inference.work import Outcome, Part, Work
from atrous.jobs.crf_settings import settings_of
from atrous.jobs.inference_settings import DEFAULT_CHECKPOINT, InferenceSettings, note_on_bundled
from atrous.jobs.interrupt import Wish, listen
from atrous.jobs.predict_kinds import refuse_impossible, sizes_repeat, works_on
from atrous.jobs.predict_plan import plan_outputs
from atrous.jobs.predict_result import Failures, PredictResult
from atrous.jobs.predict_resume import done_before, note_on, stored_quantity
from atrous.jobs.progress import Job, Progress

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor


@dataclass(frozen=True, slots=True)
class PredictConfig:
    """Label every pixel of images, every voxel of volumes, every sample of sounds.

    Attributes:
        images: Image files, GeoTIFFs, NIfTI volumes, sounds, folders of them (with all folders inside),
            globs, or URLs such as s3://BUCKET/FOLDER.
        checkpoint: Made by `atrous train` or `atrous import`; unless given, the bundled network for streets,
            with the classes of CamVid.
        output: Folder or URL for the label maps, NAME.png of the image's size with the classes' colors
            (NAME.tif on the same grid of a GeoTIFF, NAME.nii.gz of a volume), and the overlays,
            NAME.overlay.jpg; files of a folder keep their place in it. Depth becomes NAME.tif, float32, and
            motion from an image to the next NAME.flo, with their colors in NAME.png; a sound becomes a label
            track, NAME.txt. What fails is listed in failures.jsonl.
        overlay: The image under the colors of its labels is written too; --no-overlay leaves it out.
        opacity: Of the colors in the overlay, 0-1.
        save_probabilities: Also write NAME.npz with `probabilities` (k, h, w), float16.
        bands: Which bands of a TIFF are red, green and blue, or the one that is gray, counted from 1.
        span: Values of a TIFF that become black and white, LOW HIGH; for floats, and where 16 bits are not
            filled. Without it, 0 and the largest of the type.
        axis: Of a volume's array, 0-2, along which its slices are counted.
        resume: Go on: skip images whose results are there, made by this checkpoint and these settings, and
            go on within a large one.
        overwrite: Replace files that are there already; with --resume, only those that were made otherwise.
        distribute: ray: on all processors of this machine or of the cluster in RAY_ADDRESS, which must reach
            images and output.
        workers: Processes for --distribute ray, each with its own copy of the network; 0: one for every two
            processors, or every GPU.
        inference: How the network is asked.

    Raises:
        ConfigError: If there are workers and nothing to distribute to, not one or three bands, or a span
            without extent.
    """

    images: Annotated[Positional[tuple[str, ...]], arg(metavar="IMAGE [IMAGE ...]")]
    checkpoint: Path = DEFAULT_CHECKPOINT
    output: Annotated[str | Path, arg(aliases=("-o",), metavar="FOLDER")] = "predictions"
    overlay: bool = True
    opacity: float = 0.5
    save_probabilities: bool = False
    bands: tuple[int, ...] = ()
    span: tuple[float, float] | None = None
    axis: Literal[0, 1, 2] = 2
    resume: bool = False
    overwrite: bool = False
    distribute: Literal["no", "ray"] = "no"
    workers: int = 0
    inference: Annotated[InferenceSettings, arg(name="")] = field(
        default_factory=lambda: InferenceSettings(precision="auto")
    )

    def __post_init__(self) -> None:
        if not self.images:
            raise ConfigError("there is nothing to predict; give images, folders, globs or URLs")
        if self.workers < 0 or (self.workers and self.distribute == "no"):
            raise ConfigError(
                f"workers {self.workers} has no --distribute ray, or is negative; give both, or none"
            )
        if len(self.bands) not in (0, 1, 3):
            raise ConfigError(
                f"bands {self.bands} are neither one, gray, nor three: red, green, blue; give these"
            )
        if self.span is not None and not self.span[0] < self.span[1]:
            raise ConfigError(
                f"span {self.span} has no extent; give the value that is black, then a larger one"
            )


def run(config: PredictConfig) -> Job[PredictResult]:
    """Predict; yields progress, returns what was written. A broken image does not stop the others.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If the protocol is impossible, or a package for URLs or clusters is not installed.
        DataError: If no image is found.
        OutputError: If an output exists and may not be overwritten, or cannot be written.
        StoppedError: After Ctrl-C; what was begun is finished, --resume goes on.
    """
    output = place_of(config.output)
    quantity = stored_quantity(config.checkpoint)
    if quantity is not None and config.inference.precision == "auto":  # in bfloat16 a value has 8 bits
        config = replace(config, inference=replace(config.inference, precision="float32"))
    note = note_on(config.checkpoint, config.inference, opacity=config.opacity, **_ways(config))
    works = works_on(plan_outputs(config.images, output), config, note=note, quantity=quantity)
    done = done_before(works, output, note=note, resume=config.resume, overwrite=config.overwrite)
    todo = [work for work in works if work.source not in done]
    if config.resume:
        _sweep(todo)
    here = config.inference if config.distribute == "no" else replace(config.inference, device="cpu")
    predictor = here.predictor(config.checkpoint, sizes_repeat=sizes_repeat(todo))  # refuses the impossible
    refuse_impossible(predictor, config)
    if said := note_on_bundled(config.checkpoint):
        yield Progress(0, 0, "predict", message=said)
    crf = None if predictor.crf is None else settings_of(predictor.crf)
    failures, num_over = Failures(output), len(done)
    told, part = "", None
    with listen() as wish, closing(_outcomes(todo, predictor, config, wish)) as outcomes:
        for outcome in outcomes:
            if told != predictor.engine.description and config.distribute == "no":
                told = predictor.engine.description
                yield Progress(num_over, len(works), "predict", message=f"computed by {told}")
            if isinstance(outcome, Part):
                part = outcome
                yield Progress(outcome.done, outcome.total, f"predict {PurePath(outcome.source).name}")
                if wish.stop:
                    break
                continue
            num_over, part = num_over + 1, None
            if outcome.error:
                failures.add(todo[outcome.number].source, outcome.error)
            yield Progress(num_over, len(works), "predict", message=outcome.error)
        failures.save()
        if num_over < len(works):
            raise StoppedError(
                f"stopped after {num_over} of {len(works)} images{_kept(part)}; add --resume to go on",
                exit_code=128 + (wish.signal or signal.SIGINT),  # as shells count
            )
    good = [work for work in todo if str(work.source) not in failures.errors]
    return PredictResult(
        written=tuple(place for work in good for place in work.outputs),
        failed=failures.errors,
        skipped=tuple(work.source for work in works if work.source in done),
        crf=crf,
        engine=told,
        kind=quantity.kind if quantity else "sound" if predictor.network.num_axes == 1 else "",
    )


def _outcomes(
    todo: Sequence[Work], predictor: "Predictor", config: PredictConfig, wish: Wish
) -> Generator[Outcome | Part, None, None]:
    """What becomes of the works, until somebody wishes to stop."""
    if config.distribute == "no":
        yield from predict_works(takewhile(lambda _: not wish.stop, todo), predictor)
        return
    from atrous.inference.batch import Network, predict_on_cluster

    uses_gpus = config.inference.device not in ("cpu", "mps")
    network = Network(config.checkpoint, config.inference.predictor, uses_gpus=uses_gpus)
    try:
        with closing(predict_on_cluster(todo, network, workers=config.workers)) as outcomes:
            for outcome in outcomes:
                yield outcome
                if wish.stop:
                    break
    finally:
        _sweep(todo)  # workers may have been killed


def _sweep(works: Sequence[Work]) -> None:
    """Remove what was half written when a process was killed."""
    remove_leftovers(place for work in works for place in work.outputs if isinstance(place, Path))


def _kept(part: Part | None) -> str:
    """What of an image under way is not lost, in words."""
    if part is None or not part.is_kept:
        return ""
    return f" and {part.done} of {part.total} rows of {PurePath(part.source).name}"


def _ways(config: PredictConfig) -> dict[str, Any]:
    """Settings that some inputs' labels depend on, where they are not the usual ones."""
    ways = {"bands": config.bands, "span": config.span, "axis": config.axis}
    usual = {"bands": (), "span": None, "axis": 2}
    return {name: value for name, value in ways.items() if value != usual[name]}
