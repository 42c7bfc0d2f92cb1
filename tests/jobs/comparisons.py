"""A comparison so small that a test can afford it."""

from dataclasses import replace
from pathlib import Path

from atrous.jobs.compare import CompareConfig
from atrous.training.settings import Stage

STAGE = Stage(num_steps=3, batch_size=2, crop_size=(32, 40), learning_rate=0.01)


def small_comparison(data: Path, output: Path) -> CompareConfig:
    """Of two networks, six updates each."""
    return CompareConfig(
        data=data,
        output=output,
        networks=("compact", "compact_context"),
        seeds=(0,),
        device="cpu",
        precision="float32",
        save_every=1,
        speed="none",
        front_end=STAGE,
        context=replace(STAGE, num_steps=2),
        joint=replace(STAGE, num_steps=1),
    )


def resumed(config: CompareConfig) -> CompareConfig:
    """Going on with it."""
    return CompareConfig(output=config.output, resume=True, speed="none")
