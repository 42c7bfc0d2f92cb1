"""A network and the CRF-RNN that refines it as one module, for the stage that trains both end to end."""

from jaxtyping import Float
from torch import Tensor, nn

from atrous.checkpoint import Checkpoint
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import from_crfasrnn
from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import restore_crf
from atrous.errors import CheckpointError, ConfigError, ShapeError, TrainingError
from atrous.jobs.crf_settings import choose_crf
from atrous.jobs.run_state import State
from atrous.jobs.train import TrainConfig
from atrous.models.contract import DenseNetwork, LogitGeometry, Normalization
from atrous.ops.resample import upsample_logits

USUAL = DenseCRF(from_crfasrnn(), num_steps=5, normalization="after")  # Zheng et al. 2015, section 6


class RefinedNetwork(nn.Module):
    """The network's logits at every pixel, refined by a CRF-RNN: (b, 3, h, w) -> (b, k, h, w).

    Zheng et al. 2015, figure 3. Takes what the network takes, normalized images with their margin; the CRF
    sees the raw ones, without it.

    Args:
        network: Below.
        crf: For the same classes.
    """

    def __init__(self, network: DenseNetwork, crf: CRFRNN) -> None:
        super().__init__()
        if network.num_axes != 2:
            raise ConfigError("a CRF refines images, not volumes; set num_steps of crf_rnn to 0")
        self.network = network
        self.crf = crf

    @property
    def geometry(self) -> LogitGeometry:
        """One cell a pixel."""
        return LogitGeometry(1, 0, self.network.receptive_field, self.network.margin)

    def new_layers(self) -> tuple[str, ...]:
        """The CRF: the network is trained already."""
        return ("crf.",)

    def forward(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b k h w"]:
        """Refined logits of the images without their margin."""
        margin = self.network.margin
        height, width = (side - 2 * margin for side in images.shape[2:])
        inside = images[..., margin : margin + height, margin : margin + width]
        logits = upsample_logits(
            self.network(images).float(),
            (height, width),
            stride=self.network.output_stride,
            center=self.network.center,
        )
        normalization = self.network.normalization
        assert isinstance(normalization, Normalization)  # of images
        try:
            return self.crf(logits, normalization.undo(inside))
        except ShapeError as error:  # sizes fit by construction
            raise TrainingError(
                f"the scores below or in the CRF are no longer finite ({error}); lower the learning rate or "
                "add warmup_steps"
            ) from error


def start_crf(
    config: TrainConfig, *, checkpoint: Checkpoint | None, num_classes: int, state: State | None
) -> CRFRNN | None:
    """The CRF-RNN that a run trains, from where it starts; None if no stage does.

    It is the resumed run's, or that of the starting weights, learned or as settings, or the usual one; the
    settings of the recipe go above the latter two.

    Args:
        config: Of the run.
        checkpoint: The starting weights, if they are for the same classes.
        num_classes: k.
        state: Of the resumed run.

    Raises:
        CheckpointError: If what should be there is not, or cannot be restored.
        ConfigError: If the recipe has settings for a learned CRF, which keeps its own.
    """
    if not config.crf_rnn.num_steps:
        return None
    if state is None:
        crf = choose_crf(config.crf, checkpoint, num_classes=num_classes, usual=USUAL)
    else:
        crf = restore_crf(state.crf, state.part("crf"), num_classes=num_classes)
    if crf is None:
        raise CheckpointError(f"the state in {config.output} has no CRF to go on with; start a new run")
    if isinstance(crf, CRFRNN):
        return crf
    num_steps = USUAL.num_steps if config.crf.num_steps is None else config.crf.num_steps
    return CRFRNN.from_dense(crf, num_classes=num_classes, num_steps=num_steps)
