"""WaveNet (van den Oord et al. 2016): gated dilated convolutions in time, with skips from every layer.

| part     | layers                                                       | channels    | sees          |
|----------|--------------------------------------------------------------|-------------|---------------|
| first    | 1x1 on one-hot mu-law codes                                  | 64          | 1 sample      |
| layer    | kernel 2, dilated by d; tanh of one half times the other's   | 128         | d more        |
|          | logistic function; 1x1 added to its input, 1x1 to the skips  | 64 and 64   |               |
| 30 of it | d = 1, 2, 4 .. 512, three times                              |             | 3,070 samples |
| last     | ReLU of the skips' sum, 1x1, ReLU, 1x1                       | 64, classes | 3,070 samples |

Inputs may carry conditions behind the codes, one channel each (section 2.5): every layer adds its own 1x1 of
them before the gate. Constant over time they are a global condition, a speaker or a word; else a local one.
A generator is causal: logits at a sample read it and earlier ones, and say which code comes next. A labeler
reads as far ahead as back.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.layers.causal import CausalConv1d
from atrous.models.companding import Companding
from atrous.models.contract import DenseNetwork, LogitGeometry
from atrous.ops.levels import LEVELS

DILATIONS = tuple(2**exponent for exponent in range(10)) * 3  # section 3.1: 1 .. 512, repeated
CHANNELS = 64
UNDILATED = (1, 1)
UNDILATED_KERNEL_SIZE = 46  # as many weights as 30 layers of kernel 2
LABELER_DILATIONS = tuple(2**exponent for exponent in range(9)) * 2
KERNEL_SIZE = 2


class GatedLayer(nn.Module):
    """A dilated convolution with a gate; equation 2, and figure 4.

    Args:
        channels: Of the residual path.
        skip_channels: Of what goes to the end.
        kernel_size: Taps of the dilated convolution.
        dilation: In samples.
        num_conditions: Channels of conditions.
        is_causal: Whether it reads no future; otherwise as much of it as of the past.
        is_last: Whether nothing follows that would read the residual path.
    """

    def __init__(
        self,
        channels: int,
        skip_channels: int,
        kernel_size: int,
        *,
        dilation: int,
        num_conditions: int,
        is_causal: bool,
        is_last: bool,
    ) -> None:
        super().__init__()
        if is_causal:
            self.dilated: nn.Conv1d = CausalConv1d(channels, 2 * channels, kernel_size, dilation=dilation)
        else:
            self.dilated = nn.Conv1d(
                channels, 2 * channels, kernel_size, dilation=dilation, padding=dilation * (kernel_size // 2)
            )
        self.condition = nn.Conv1d(num_conditions, 2 * channels, 1, bias=False) if num_conditions else None
        self.residual = None if is_last else nn.Conv1d(channels, channels, 1)
        self.skip = nn.Conv1d(channels, skip_channels, 1)

    def forward(
        self, features: Float[Tensor, "b c t"], conditions: Float[Tensor, "b n t"] | None
    ) -> tuple[Float[Tensor, "b c t"], Float[Tensor, "b s t"]]:
        """Features for the next layer, and for the end."""
        both = self.dilated(features)
        if self.condition is not None and conditions is not None:
            both = both + self.condition(conditions)
        signal, gate = both.chunk(2, dim=1)
        gated = signal.tanh() * gate.sigmoid()
        passed = features if self.residual is None else features + self.residual(gated)
        return passed, self.skip(gated)


class WaveNet(DenseNetwork):
    """The whole stack.

    Args:
        num_classes: Codes of a generator, labels of a labeler.
        dilations: Of the layers, in samples.
        kernel_size: Taps of every layer; odd for a labeler.
        channels: Of the residual path; twice as many before each gate.
        skip_channels: Of what every layer sends to the end.
        num_conditions: Channels of the input behind its codes.
        is_causal: Whether logits read no future.

    Raises:
        ConfigError: If there is no layer, a number is below 1, or a labeler's kernel is even.
    """

    num_axes = 1

    def __init__(
        self,
        num_classes: int = LEVELS,
        *,
        dilations: Sequence[int] = DILATIONS,
        kernel_size: int = KERNEL_SIZE,
        channels: int = CHANNELS,
        skip_channels: int = CHANNELS,
        num_conditions: int = 0,
        is_causal: bool = True,
    ) -> None:
        super().__init__()
        numbers = (*dilations, kernel_size, channels, skip_channels)
        if not dilations or not all(isinstance(number, int) and number >= 1 for number in numbers):
            raise ConfigError(
                f"dilations {tuple(dilations)}, {kernel_size} taps, {channels} and {skip_channels} channels "
                "make no network; give at least one layer, and whole numbers from 1 on"
            )
        if num_conditions < 0:
            raise ConfigError(
                f"an input of {LEVELS + num_conditions} channels lacks room for {LEVELS} codes; conditions "
                "stand behind these"
            )
        if not is_causal and kernel_size % 2 == 0:
            raise ConfigError(
                f"a kernel of {kernel_size} taps has no middle, and a labeler reads as far ahead as back; "
                "give an odd one"
            )
        self.num_classes = num_classes
        self.is_causal = is_causal
        self.normalization = Companding()
        self.num_conditions = num_conditions
        self.num_channels = LEVELS + num_conditions
        self.first = nn.Conv1d(LEVELS, channels, 1)
        self.layers = nn.ModuleList(
            GatedLayer(
                channels, skip_channels, kernel_size, dilation=dilation, num_conditions=num_conditions,
                is_causal=is_causal, is_last=number == len(dilations),
            )
            for number, dilation in enumerate(dilations, start=1)
        )  # fmt: skip
        self.hidden = nn.Conv1d(skip_channels, skip_channels, 1)
        self.final = nn.Conv1d(skip_channels, num_classes, 1)
        field = 1 + (kernel_size - 1) * sum(dilations)
        self.geometry = LogitGeometry(1, (1 - field) / 2 if is_causal else 0.0, field)

    def forward(self, images: Float[Tensor, "b c t"]) -> Float[Tensor, "b k t"]:
        """Logits at every sample, of one-hot codes and the conditions behind them."""
        codes, conditions = images, None
        if self.num_conditions:
            codes, conditions = images.split(
                (self.num_channels - self.num_conditions, self.num_conditions), 1
            )
        features, skips = self.layers[0](self.first(codes), conditions)
        for layer in self.layers[1:]:
            features, skip = layer(features, conditions)
            skips = skips + skip
        return self.final(functional.relu(self.hidden(functional.relu(skips))))

    def gated_layers(self) -> tuple[GatedLayer, ...]:
        """The layers in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, GatedLayer))

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("final.",)

    def new_layers(self) -> Sequence[str]:
        """Everything: nothing is pretrained."""
        return ("first.", "layers.", "hidden.", "final.")


def wavenet_labeler(num_classes: int = 2) -> WaveNet:
    """The stack as a labeler of sounds: 18 layers of 32 channels; it sees 2,045 samples, half ahead."""
    return WaveNet(
        num_classes,
        dilations=LABELER_DILATIONS,
        kernel_size=3,
        channels=32,
        skip_channels=32,
        is_causal=False,
    )


def wavenet(num_classes: int = LEVELS, *, in_channels: int = LEVELS) -> WaveNet:
    """WaveNet: 30 causal layers of 64 channels; the next of 256 mu-law codes, from 3,070 samples."""
    return WaveNet(num_classes, num_conditions=in_channels - LEVELS)


def wavenet_undilated(num_classes: int = LEVELS, *, in_channels: int = LEVELS) -> WaveNet:
    """What WaveNet is compared with: as many weights in 2 causal layers of 46 taps; it sees 91 samples."""
    return WaveNet(
        num_classes,
        dilations=UNDILATED,
        kernel_size=UNDILATED_KERNEL_SIZE,
        num_conditions=in_channels - LEVELS,
    )
