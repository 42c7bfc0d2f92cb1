"""What a stage is fed, by what its data are and what it trains."""

from collections.abc import Iterator

from lightning_fabric import Fabric

from atrous.data.loader import index_at
from atrous.data.samples import AnySamples
from atrous.data.voice import Recordings
from atrous.jobs.cached_scores import ScoreCache
from atrous.jobs.sound_examples import labeled_sound_examples, sound_examples
from atrous.jobs.stage_plan import StagePlan
from atrous.jobs.training_data import cached_examples, image_examples, score_examples
from atrous.jobs.volume_examples import volume_examples
from atrous.models.dilated_net import DilatedNet
from atrous.training.loop import Example

_BY_AXES = {1: labeled_sound_examples, 2: image_examples, 3: volume_examples}


def stage_examples(
    data: AnySamples, plan: StagePlan, *, cache: ScoreCache | None, fabric: Fabric, start: int
) -> Iterator[Example]:
    """Crops of images, volumes or sounds; for the context stage, of the front end's scores.

    Args:
        data: To learn from.
        plan: What the stage trains and how.
        cache: Of the front end's scores, where the stage keeps them.
        fabric: What brings them to the device.
        start: Updates that are done.
    """
    seed, stage, subject = plan.data_seed, plan.stage, plan.subject
    if cache is not None:
        return cached_examples(cache, stage, fabric=fabric, seed=seed, start=start)
    if plan.name == "context" and isinstance(subject, DilatedNet):
        assert not isinstance(data, Recordings)
        return score_examples(data, subject.front_end, stage, fabric=fabric, seed=seed, start=start)
    if isinstance(data, Recordings):
        return sound_examples(data, subject, stage, fabric=fabric, seed=seed, start=start)
    examples = _BY_AXES[subject.num_axes]
    return examples(data, subject, stage, fabric=fabric, seed=seed, start=start)  # type: ignore[arg-type]


def samples_of_update(data: AnySamples, plan: StagePlan, *, step: int, num_processes: int) -> list[str]:
    """Names of the samples that an update learns from, on all processes, in their order.

    Args:
        data: Of the stage.
        plan: It has the seed and the sizes.
        step: Updates before it.
        num_processes: That share it.
    """
    per_update = plan.stage.batch_size * plan.stage.accumulate * num_processes
    positions = range(step * per_update, (step + 1) * per_update)
    return [data[index_at(at, num_samples=len(data), seed=plan.data_seed)].name for at in positions]
