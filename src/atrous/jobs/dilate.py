"""Make a classifier dense, prove that it kept its function, and write it into one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from atrous.files import refuse_existing
from atrous.jobs.progress import Job, Progress

if TYPE_CHECKING:
    from atrous.surgery.plan import Surgery
    from atrous.surgery.verify import Verification

PARTS = ("build", "plan", "change", "verify", "write")


@dataclass(frozen=True, slots=True)
class DilateConfig:
    """Make a classifier dense at a smaller output stride.

    Attributes:
        network: torchvision:NAME, timm:NAME, package.module:callable, a name of the catalog or a checkpoint.
        output: The file to write, dense.safetensors; without it the plan and the proof are only shown.
        overwrite: Replace the output if it is there already.
        output_stride: Pixels from one cell of the dense map to the next.
        pools: keep them dilated, the same function; or drop them as the paper's ablation, another function.
        head: The map that the head would pool, or the head itself on every cell of it.
        input_size: Pixels along each axis that it is verified on, or one number for all; picked unless given.
        pretrained: Let torchvision or timm fetch its default weights.
        weights: State dict of the classifier, safetensors or a .pth of tensors.
    """

    network: Annotated[Positional[str], arg(metavar="NETWORK")]
    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    overwrite: bool = False
    output_stride: int = 8
    pools: Literal["keep", "drop"] = "keep"
    head: Literal["features", "dense"] = "features"
    input_size: tuple[int, ...] = ()
    pretrained: bool = False
    weights: Path | None = None


@dataclass(frozen=True, slots=True)
class DilateResult:
    """What was done, and how the proof came out."""

    config: DilateConfig
    surgery: "Surgery"
    proof: "Verification"
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Edits, notes and proof, ready for JSON."""
        proof = self.proof
        return {
            "network": self.config.network,
            "output": str(self.config.output) if self.config.output else None,
            "output_stride": self.surgery.output_stride,
            "pools": self.surgery.pools,
            "head": self.surgery.head,
            "edits": [{"module": edit.path, "change": edit.what} for edit in self.surgery.edits],
            "notes": list(self.surgery.notes),
            "largest_difference": proof.largest_difference,
            "cells_compared": proof.cells,
            "receptive_field": list(proof.after.local),
            "receptive_field_before": list(proof.before.local),
            "output_stride_before": [float(stride) for stride in proof.before.stride],
        }

    def to_table(self) -> str:
        """A line a change, then what was proved."""
        width = max((len(edit.path) for edit in self.surgery.edits), default=0)
        lines = [f"{edit.path or '(network)':<{width}}  {edit.what}" for edit in self.surgery.edits]
        return "\n".join([*lines, "", *self._sentences()])

    def _sentences(self) -> list[str]:
        proof, strides = self.proof, self.proof.before.stride
        before = "x".join(f"{float(stride):g}" for stride in dict.fromkeys(strides))
        field = "x".join(str(size) for size in dict.fromkeys(proof.after.local))
        said = [f"Output stride {before} -> {self.surgery.output_stride}; receptive field {field} px."]
        said += [f"Note: {note}." for note in self.surgery.notes]
        if proof.largest_difference is None:
            said.append("Not verified: without its pools it is another function.")
        else:
            steps = "x".join(_ordinal(step) for step in dict.fromkeys(self.surgery.spread))
            said.append(
                f"Verified: at every {steps} cell it equals the original on a random float64 input, with "
                f"its borders: largest difference {proof.largest_difference:.1e} of the largest value, "
                f"{proof.cells} cells."
            )
        if self.config.output:
            said.append(f"Written to {self.config.output}.")
        return said


def _ordinal(step: int) -> str:
    return {1: "single", 2: "2nd", 3: "3rd"}.get(step, f"{step}th")


def run(config: DilateConfig) -> Job[DilateResult]:
    """Plan, change, verify, write; yields progress, returns the plan and the proof.

    Raises:
        ConfigError: If there is no such network, or a setting means nothing.
        GeometryError: If it cannot be traced.
        SurgeryError: If it cannot be made dense, with the reasons, or the proof fails.
        CheckpointError: If weights cannot be read or do not fit.
        OutputError: If the file is there already or cannot be written.
    """
    if config.output is not None:
        refuse_existing(config.output, overwrite=config.overwrite)
    from atrous.checkpoint import save_checkpoint
    from atrous.models.dilated_classifier import Recipe, to_dilated_checkpoint
    from atrous.models.named import example_of, named_network
    from atrous.surgery.plan import plan_surgery
    from atrous.surgery.verify import verify

    yield Progress(0, len(PARTS), PARTS[0])
    network = named_network(config.network, pretrained=config.pretrained, weights=config.weights)
    example = example_of(network, config.input_size)
    yield Progress(1, len(PARTS), PARTS[1])
    surgery = plan_surgery(
        network, example, output_stride=config.output_stride, pools=config.pools, head=config.head
    )
    yield Progress(2, len(PARTS), PARTS[2])
    dense = surgery.apply(network)
    yield Progress(3, len(PARTS), PARTS[3])
    proof = verify(network, dense, example, surgery=surgery)
    if config.output:
        recipe = Recipe(
            config.network, tuple(example.shape[2:]), config.output_stride, config.pools, config.head
        )
        save_checkpoint(config.output, to_dilated_checkpoint(dense, recipe, labels={}))
    yield Progress(len(PARTS), len(PARTS), PARTS[4])
    return DilateResult(config, surgery, proof)
