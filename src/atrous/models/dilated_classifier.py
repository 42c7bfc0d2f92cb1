"""A classifier made dense by surgery, as a network of this house: one file rebuilds it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.checkpoint import Checkpoint
from atrous.errors import CheckpointError, ConfigError
from atrous.geometry.receptive_field import receptive_field
from atrous.geometry.trace import trace
from atrous.models.contract import DenseNetwork, LogitGeometry, Normalization
from atrous.models.foreign import foreign_network, is_foreign
from atrous.surgery.plan import plan_surgery

NAME = "dilated_classifier"
LONGEST_SIDE = 2048  # px of the input that a checkpoint names; classifiers take 200 to 600
IMAGENET_MEAN, IMAGENET_STD = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # of both packages, unless timm differs


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a dense network is made from a classifier.

    Attributes:
        source: The classifier's name: `torchvision:NAME`, `timm:NAME`, or `package.module:callable`.
        input_size: Pixels (h, w) that the surgery was verified on.
        output_stride: As `dilate` takes it.
        pools: As `dilate` takes it.
        head: As `dilate` takes it.
    """

    source: str
    input_size: tuple[int, ...]
    output_stride: int
    pools: Literal["keep", "drop"] = "keep"
    head: Literal["features", "dense"] = "features"


class DilatedClassifier(DenseNetwork):
    """A dense network under this house's contract: a margin where its head is unpadded, one stride, RGB.

    Args:
        network: Made by `dilate`; its output is (b, k, y, x).
        input_size: Pixels (h, w) of an image that it takes.
        normalization: What it was trained with.

    Raises:
        ConfigError: If its map has another number of axes, or strides that differ.
    """

    def __init__(
        self, network: nn.Module, input_size: Sequence[int], *, normalization: Normalization | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.normalization = normalization or _normalization_of(network)
        weight = next(network.parameters())
        graph = trace(network, torch.zeros(1, 3, *input_size, device=weight.device, dtype=weight.dtype))
        field = receptive_field(graph)
        (stride, *others), (center, *_) = field.stride, field.center
        if len(others) != 1 or others[0] != stride or int(stride) != stride:
            raise ConfigError(
                f"strides {field.stride} are no single whole number on two axes; use dilate() alone"
            )
        stride = int(stride)
        missing = -(-input_size[0] // stride) - graph.output.size[0]
        margin = -(-max(missing, 0) // 2) * stride
        self.geometry = LogitGeometry(stride, center - margin, field.local[0], margin)
        self.num_classes = graph.output.shape[1]

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """The dense map (b, k, ceil(h / stride), ceil(w / stride)) of the image inside the margin."""
        stride, margin = self.output_stride, self.margin
        rows, columns = (-(-(size - 2 * margin) // stride) for size in images.shape[2:])
        return self.network(images)[..., :rows, :columns]

    def class_layers(self) -> Sequence[str]:
        """None: whatever a classifier ends in, it starts whole or not at all."""
        return ()

    def new_layers(self) -> Sequence[str]:
        """None: the classifier brings all of them."""
        return ()


def dilated_classifier(recipe: Recipe) -> DilatedClassifier:
    """A dense network with the classifier's fresh weights; it is not verified again.

    Raises:
        ConfigError: If there is no such classifier, or its package is missing.
        SurgeryError: If it cannot be made dense.
    """
    network = foreign_network(recipe.source)
    example = torch.zeros(1, 3, *recipe.input_size)
    surgery = plan_surgery(
        network, example, output_stride=recipe.output_stride, pools=recipe.pools, head=recipe.head
    )
    return DilatedClassifier(surgery.apply(network), recipe.input_size)


def to_dilated_checkpoint(dense: nn.Module, recipe: Recipe, *, labels: dict[str, Any]) -> Checkpoint:
    """What `atrous dilate` writes: the tensors under the classifier's own names, and how to rebuild it."""
    return Checkpoint(
        network=NAME,
        arguments=asdict(recipe),
        labels=labels,
        normalization=_normalization_of(dense).to_dict(),
        tensors=dict(dense.state_dict()),
    )


def dilated_network_of(checkpoint: Checkpoint, *, source: str) -> DilatedClassifier:
    """The network of a checkpoint that `atrous dilate` wrote.

    Raises:
        CheckpointError: If it names code to run, its classifier cannot be built, or its tensors do not fit.
    """
    arguments = checkpoint.arguments
    named = str(arguments.get("source", ""))
    if not is_foreign(named):
        raise CheckpointError(
            f'{source} holds weights of "{named}", and a file must not name code to run; '
            "call atrous.dilate on your network yourself and load the file's tensors into the result"
        )
    try:
        recipe = Recipe(**{**arguments, "input_size": tuple(arguments["input_size"])})
        if [type(side) for side in recipe.input_size] != [int, int] or not _sides_fit(recipe.input_size):
            raise ValueError(f"its input is {recipe.input_size}, not two sides of 1 to {LONGEST_SIDE} px")
    except (TypeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{source} does not say how its network was made ({error}); make it anew by atrous dilate"
        ) from error
    try:
        network = dilated_classifier(recipe)
        network.network.load_state_dict(checkpoint.tensors)
    except (ConfigError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{source} cannot be rebuilt: {reason}") from error
    network.use_normalization_(Normalization.from_dict(checkpoint.normalization))
    return network.eval()


def _sides_fit(sides: tuple[int, ...]) -> bool:
    return all(1 <= side <= LONGEST_SIDE for side in sides)


def _normalization_of(network: nn.Module) -> Normalization:
    """Mean and deviation from timm's card, or ImageNet's."""
    card: Any = getattr(network, "pretrained_cfg", None)
    known = card if isinstance(card, dict) else {}
    mean, std = (
        tuple(255 * float(value) for value in known.get(name, usual))
        for name, usual in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD))
    )
    return Normalization(mean, std)  # type: ignore[arg-type]
