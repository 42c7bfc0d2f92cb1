"""Write a network into a file that runs without this package, and prove that it says the same."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from atrous.errors import ConfigError, OutputError, SurgeryError
from atrous.files import refuse_existing, refuse_unwritable, write_text
from atrous.jobs.progress import Job, Progress, drain

if TYPE_CHECKING:
    from atrous.export.parity import Parity

Format = Literal["onnx", "openvino", "program"]
Precision = Literal["float32", "float16", "int8"]

ENDINGS: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "program": ".pt2"}
LIMITS: dict[Precision, tuple[float, float]] = {  # largest difference, least agreement
    "float32": (1e-3, 0.999),
    "float16": (2e-2, 0.99),
    "int8": (float("inf"), 0.95),
}


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """Write a network into a file that runs without this package, and prove that it says the same.

    The file takes any height, width and batch. It is read back and asked, as is the network, on images; if
    the answers differ by more than what is allowed, nothing is written but the report.

    Attributes:
        checkpoint: Made by `atrous train`, `atrous import` or `atrous dilate`.
        format: onnx, for ONNX Runtime and most other engines; openvino, an .xml and a .bin; program, what
            torch.export.load reads.
        output: The file; beside the checkpoint unless given. The report is put beside it, NAME.parity.json.
        overwrite: Replace the file if it is there already.
        raw: The file takes pixels as they are, uint8 RGB (b, 3, h, w): mean, order of channels and reflected
            margin are inside.
        result: What it gives: logits on the network's own grid; probabilities, or labels (uint8), of every
            pixel; values of a regression.
        precision: float32; float16, as which OpenVINO stores weights; int8, which OpenVINO computes in.
        images: Images, or folders of them, to compare on, at most 8; built-in ones unless given, with int8
            some of the calibration's that it was not calibrated on, where it has 5 or more.
        calibration: Folder with some 40 images like those to come, for int8.
        opset: Version of ONNX's operators.
        tolerance: Largest difference that passes, as a share of the largest value; unless given 0.001, of
            float16 0.02, of int8 any.
        least_agreement: Least share of equal labels that passes, in the mean of the images; unless given
            0.999, of float16 0.99, of int8 0.95.

    Raises:
        ConfigError: If settings contradict each other.
    """

    checkpoint: Annotated[Positional[Path], arg(metavar="CHECKPOINT")]
    format: Format = "onnx"
    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    overwrite: bool = False
    raw: bool = False
    result: Literal["logits", "probabilities", "labels", "values"] = "logits"
    precision: Precision = "float32"
    images: tuple[Path, ...] = ()
    calibration: Path | None = None
    opset: int = 20
    tolerance: float | None = None
    least_agreement: float | None = None

    def __post_init__(self) -> None:
        if self.precision != "float32" and self.format != "openvino":
            raise ConfigError(
                f"{self.precision} is written for OpenVINO only, not as {self.format}; take --format openvino"
            )
        if (self.precision == "int8") != (self.calibration is not None):
            raise ConfigError(
                "int8 measures on images how large values become, and nothing else does; give both, "
                "--precision int8 and --calibration FOLDER, or none"
            )
        if self.output is not None and self.output.suffix.lower() != ENDINGS[self.format]:
            ending = ENDINGS[self.format]
            raise ConfigError(f"{self.output} does not end in {ending}, as {self.format} does; name it so")
        if not 0 <= self.least <= 1 or not self.most >= 0:
            raise ConfigError("a tolerance is 0 or more and an agreement a share, 0 to 1; change them")

    @property
    def file(self) -> Path:
        """What is written."""
        return self.output or self.checkpoint.with_suffix(ENDINGS[self.format])

    @property
    def report(self) -> Path:
        """Where the report is written."""
        return self.file.with_suffix(self.file.suffix + ".parity.json")

    @property
    def failed_report(self) -> Path:
        """Where it is written if the file does not hold; the report of a file that is there already stays."""
        return self.file.with_suffix(self.file.suffix + ".failed.parity.json")

    @property
    def most(self) -> float:
        """The largest difference that passes."""
        return LIMITS[self.precision][0] if self.tolerance is None else self.tolerance

    @property
    def least(self) -> float:
        """The least agreement that passes."""
        return LIMITS[self.precision][1] if self.least_agreement is None else self.least_agreement


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written, and how it compares.

    Attributes:
        written: The file, and those that belong to it.
        report: The parity report.
        form: Format, version and precision in words.
        takes: The input in words.
        gives: The result's name.
        parity: File against network.
        notes: What a user of the file must know.
    """

    written: tuple[Path, ...]
    report: Path
    form: str
    takes: str
    gives: str
    parity: "Parity"
    notes: tuple[str, ...] = ()
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "written": [str(path) for path in self.written],
            "report": str(self.report),
            "form": self.form,
            "takes": self.takes,
            "gives": self.gives,
            "notes": list(self.notes),
            "parity": self.parity.to_dict(),
        }

    def to_table(self) -> str:
        """The comparison, then what was written."""
        size = sum(path.stat().st_size for path in self.written if path.exists()) / 2**20
        names = " and ".join(str(path) for path in self.written)
        said = [
            f"{names}: {self.form}, {size:.1f} MiB",
            f'input "images": {self.takes}; output "{self.gives}"; any height, width and batch',
            *(f"Note: {note}." for note in self.notes),
        ]
        return "\n".join([self.parity.to_table(), "", self.parity.verdict, *said])


def run(config: ExportConfig) -> Job[ExportResult]:
    """Export, read back, compare, write; yields progress, returns the comparison.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If the network cannot have such ends, or a package is missing.
        GeometryError: If the network cannot be exported, with the reason.
        DataError: If an image cannot be read.
        SurgeryError: If the file says something else than the network.
        OutputError: If something is there already or cannot be written.
    """
    refuse_existing(config.file, overwrite=config.overwrite)
    refuse_unwritable(config.file)
    yield Progress(0, 3, "export")
    from atrous.export.parity import Parity, compare
    from atrous.inference.stored import weight_files
    from atrous.jobs.export_inputs import inputs_of
    from atrous.jobs.export_write import exported, read_back

    source = exported(config)
    inputs = inputs_of(config, source.network, source.card)  # what is missing is said before the work
    with _beside(config.file) as draft:
        source.write(draft)
        yield Progress(1, 3, "export")
        compared = []
        pairs = compare(
            source.deployed,
            read_back(draft),
            inputs,
            result=config.result,
            has_classes=source.has_classes,
        )
        for done, one in enumerate(pairs, start=1):
            compared.append(one)
            yield Progress(done, len(inputs), "compare")
        parity = Parity(tuple(compared), config.most, config.least)
        result = ExportResult(
            weight_files(config.file) if parity.holds else (),
            config.report if parity.holds else config.failed_report,
            source.form,
            source.card.plain()["takes"],
            config.result,
            parity,
            source.notes,
        )
        write_text(result.report, json.dumps(result.to_dict(), indent=1) + "\n")
        if not parity.holds:
            raise SurgeryError(
                f"{parity.verdict} Nothing was written but {result.report}; {_way_out(config)}"
            )
        for path in reversed(result.written):  # the graph last, so that where it is, its weights are
            draft.with_suffix(path.suffix).replace(path)
    yield Progress(3, 3, "export")
    return result


def export(config: ExportConfig) -> ExportResult:
    """Run the export to its end; see `run`."""
    return drain(run(config))


def _way_out(config: ExportConfig) -> str:
    if config.precision == "int8":
        return "calibrate on more images like those to come, lower --least-agreement, or take float16"
    return "look at the images that it lists, or raise --tolerance or lower --least-agreement, knowing that"


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """A file of that name in a folder of its own beside it, which goes in the end."""
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.stem}.") as folder:
            yield Path(folder) / file.name
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {file} ({error}); what was there before is untouched") from error
