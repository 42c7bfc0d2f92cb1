"""How a checkpoint is asked for label maps: the settings that predict and evaluate have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from atrous.errors import ConfigError
from atrous.inference.engine_choice import EngineName, EnginePrecision
from atrous.inference.views import Views

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

DEFAULT_CHECKPOINT = Path("street")
"""The network that comes with the package, which is asked where no checkpoint is given."""


def note_on_bundled(checkpoint: Path) -> str:
    """What one should know of the bundled network; nothing of other checkpoints."""
    from atrous.checkpoint import is_bundled

    if not is_bundled(checkpoint):
        return ""
    return (
        f"network: {checkpoint}, which comes with atrous (the 11 classes of CamVid's streets; weights for "
        "research use); give a checkpoint to take your own"
    )


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """How the network is asked.

    Attributes:
        scales: Sizes at which each image is seen; the probabilities are averaged.
        flip: Also see each image mirrored.
        longest_side: Images with a longer side are shrunk to so many pixels before the network sees them, and
            labeled at all of theirs; 0 for never. Unless given, what the checkpoint says: 480 for the
            bundled network, which was trained on such images, and never for one that you train.
        protocol: exact, or released: in the tiles of the authors' script, zeros at every tile's border, to
            compare with published numbers.
        crf: Refine by a dense CRF, with the usual settings where the checkpoint carries none of its own; one
            that it carries is applied anyway.
        no_crf: Apply no CRF, whatever the checkpoint carries.
        device: auto, cpu, cuda, mps.
        engine: torch, openvino, or auto: OpenVINO where it is installed, the processor computes, and many
            images of few sizes come.
        precision: float32, bfloat16, auto: bfloat16 where the device computes in it, or int8, which needs
            OpenVINO and a calibration.
        calibration: Folder with some 40 images like those to come, to calibrate int8 on.

    Raises:
        ConfigError: If a CRF is wanted and not, or scales are impossible.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    longest_side: int | None = None
    protocol: Literal["exact", "released"] = "exact"
    crf: bool = False
    no_crf: bool = False
    device: str = "auto"
    engine: EngineName = "auto"
    precision: EnginePrecision = "float32"
    calibration: Path | None = None

    def __post_init__(self) -> None:
        if self.crf and self.no_crf:
            raise ConfigError("crf and no_crf contradict each other; give one of them, or neither")
        _ = self.views  # refuses impossible ones

    @property
    def views(self) -> Views:
        """Scales, flips, the longest side."""
        return Views(self.scales, self.flip, self.longest_side)

    def predictor(self, checkpoint: Path, *, sizes_repeat: bool = False) -> "Predictor":
        """The predictor of a checkpoint with these settings.

        Args:
            checkpoint: The file.
            sizes_repeat: Whether many images of few sizes will come.

        Raises:
            CheckpointError: If the checkpoint cannot be read.
            ConfigError: If the protocol is impossible, or the engine or precision cannot be had here.
        """
        from atrous.crf.dense_crf import DenseCRF
        from atrous.inference.engines import build_engine
        from atrous.inference.exported import refuse_labels_only
        from atrous.inference.predictor import Predictor
        from atrous.inference.volume_prediction import refuse_image_ways

        predictor = Predictor(
            checkpoint,
            device=self.device,
            precision="auto" if self.precision == "int8" else self.precision,
            views=self.views,
            protocol=self.protocol,
            crf=None if self.no_crf else "stored",
        )
        refuse_image_ways(predictor.network, views=self.views, protocol=self.protocol, has_crf=self.crf)
        if predictor.network.num_axes != 2 and self.engine == "openvino":
            raise ConfigError("OpenVINO computes images here, not volumes or sounds; leave --engine out")
        predictor.engine = build_engine(
            predictor.network,
            engine=self.engine,
            precision=self.precision,
            device=predictor.device,
            sizes_repeat=sizes_repeat,
            calibration=self.calibration,
        )
        if self.crf and predictor.quantity is not None:
            raise ConfigError(
                f"a CRF refines classes, and {predictor.quantity.kind} has none; leave out --crf"
            )
        if self.crf and predictor.crf is None:
            refuse_labels_only(predictor.network, what="a CRF")
            predictor.crf = DenseCRF()
        return predictor
