"""CRF-RNN: the dense CRF as a layer that learns its kernel weights and which labels go together."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn

from atrous.crf.dense_crf import (
    DenseCRF,
    broken_settings,
    refuse_many_steps,
    restore_kernels,
    store_kernels,
    whole_number,
)
from atrous.crf.filters import Normalization, exponents
from atrous.crf.inference_steps import build_filters, check_steps, refine_logits
from atrous.crf.kernels import Kernel, as_kernels
from atrous.errors import ConfigError, ShapeError


class CRFRNN(nn.Module):
    """Mean field with learned weights, unrolled to a fixed number of steps.

    Zheng et al. 2015, "Conditional random fields as recurrent neural networks". Every kernel has a weight for
    each class (their diagonal matrices), and every pair of labels its cost. It starts as the dense CRF of the
    given kernels with Potts compatibility; bandwidths stay as they are.

    Args:
        num_classes: k, at least 1.
        kernels: Their weights are where learning starts.
        num_steps: Mean-field updates in training mode; the paper has 5, against vanishing gradients.
        num_test_steps: Updates in evaluation mode; 10 there.
        normalization: Of the filters; the paper's divides after filtering, by what the filter makes of ones.

    Attributes:
        kernel_weights: Parameter (kernels, k).
        compatibility: Parameter (k, k): the cost of the label of the row beside that of the column.

    Raises:
        ConfigError: If there is no class or kernel, a negative number of steps, or no such normalization.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        kernels: Sequence[Kernel],
        num_steps: int = 5,
        num_test_steps: int = 10,
        normalization: Normalization = "after",
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ConfigError(f"{num_classes} classes make no CRF; give at least 1")
        check_steps(num_steps)
        check_steps(num_test_steps)
        exponents(normalization)
        self.kernels = as_kernels(kernels)
        self.num_steps = num_steps
        self.num_test_steps = num_test_steps
        self.normalization: Normalization = normalization
        weights = torch.tensor([float(kernel.weight) for kernel in self.kernels])
        self.kernel_weights = nn.Parameter(weights[:, None].repeat(1, num_classes))
        self.compatibility = nn.Parameter(1 - torch.eye(num_classes))

    @classmethod
    def from_dense(
        cls, crf: DenseCRF, *, num_classes: int, num_steps: int = 5, num_test_steps: int = 10
    ) -> "CRFRNN":
        """The layer that is this dense CRF as long as nothing is learned, but for the number of steps.

        Raises:
            ConfigError: If the CRF's compatibility is for another number of classes.
        """
        layer = cls(
            num_classes=num_classes,
            kernels=crf.kernels,
            num_steps=num_steps,
            num_test_steps=num_test_steps,
            normalization=crf.normalization,
        )
        costs = crf.costs(layer.compatibility)
        if costs is not None:
            if len(costs) != num_classes:
                raise ConfigError(
                    f"compatibility of {len(costs)} classes for a layer of {num_classes}; give k"
                )
            with torch.no_grad():
                layer.compatibility.copy_(costs if costs.ndim == 2 else costs.diag())
        return layer

    @property
    def num_classes(self) -> int:
        """Number of classes k."""
        return len(self.compatibility)

    def forward(
        self, logits: Float[Tensor, "b k *spatial"], images: Real[Tensor, "..."] | None = None
    ) -> Float[Tensor, "b k *spatial"]:
        """Refined scores, for a loss that takes logits; their softmax are the marginals.

        Args:
            logits: Of the network, at the images' size.
            images: Raw, 0-255 (b, c, *spatial), as for `mean_field`; no gradient goes to them.

        Returns:
            Logits in the precision of those given, but at least float32, under autocast too.

        Raises:
            ShapeError: If images and logits differ in size, are not finite, or have not k classes.
        """
        if logits.shape[1] != self.num_classes:
            raise ShapeError(
                f"logits {tuple(logits.shape)} for a CRF of {self.num_classes} classes; give (b, "
                f"{self.num_classes}, *spatial), or build the layer for as many classes"
            )
        precision = torch.promote_types(logits.dtype, torch.float32)
        with torch.autocast(logits.device.type, enabled=False):
            precise = logits.to(precision)
            filters = build_filters(precise, images, kernels=self.kernels, normalization=self.normalization)
            return refine_logits(
                precise,
                filters,
                weights=self.kernel_weights.to(precision),
                compatibility=self.compatibility.to(precision),
                num_steps=self.num_steps if self.training else self.num_test_steps,
            )

    def extra_repr(self) -> str:
        """The settings, for `print`."""
        return (
            f"num_classes={self.num_classes}, kernels={list(self.kernels)}, num_steps={self.num_steps}, "
            f"num_test_steps={self.num_test_steps}, normalization={self.normalization!r}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Settings as plain values that JSON can hold; with the state dict, `from_dict` rebuilds the layer.

        Raises:
            ConfigError: If there is a `Gaussian` kernel, whose features are no setting.
        """
        return {
            "num_classes": self.num_classes,
            "kernels": store_kernels(self.kernels),
            "num_steps": self.num_steps,
            "num_test_steps": self.num_test_steps,
            "normalization": self.normalization,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any], *, tensors: Mapping[str, Tensor]) -> "CRFRNN":
        """The layer of what `to_dict` wrote and of its state dict, in the precision of the latter.

        Raises:
            CheckpointError: If settings or tensors are missing, unknown, of another type or shape.
        """
        try:
            rest = dict(stored)
            kernels = restore_kernels(rest.pop("kernels"))
            counts = {
                name: whole_number(rest.pop(name)) for name in ("num_classes", "num_steps", "num_test_steps")
            }
            refuse_many_steps(max(counts["num_steps"], counts["num_test_steps"]))
            if tensors["compatibility"].shape != (counts["num_classes"],) * 2:  # before it is made as large
                raise ValueError(f"compatibility of shape {tuple(tensors['compatibility'].shape)}")
            layer = cls(kernels=kernels, **counts, **rest)
            layer.to(tensors["compatibility"].dtype).load_state_dict(tensors)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise broken_settings("CRFRNN", stored, error) from error
        return layer
