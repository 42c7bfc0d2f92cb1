"""Runs that are stopped anywhere, and what they leave behind."""

import signal
from dataclasses import replace

import torch

from atrous.checkpoint import load_checkpoint, load_tensors
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.train import run
from atrous.training.settings import Stage

PLAIN = Stage(num_steps=4, batch_size=2, crop_size=(32, 40), learning_rate=0.01)
AUGMENTED = replace(PLAIN, scale=(0.7, 1.4), color=0.3)


def resumed(config):
    return replace(config, resume=True)


def advance(config, part, done, *, number=None):
    """Run until `done` of a part; then send the signal of that number, or drop the run as a kill would."""
    for progress in (job := run(config)):
        if (progress.part, progress.done) == (part, done) and not progress.message:
            if number is None:
                job.close()
                return
            signal.raise_signal(number)


def left_behind(folder):
    """Everything that must not depend on where a run stopped: all tensors, all scores, the log's steps."""
    tensors = {
        f"{path.name}: {name}": value
        for path in sorted(folder.glob("*.safetensors"))
        for name, value in load_tensors(path)[0].items()
    }
    position = RunFolder(folder).load_state().position
    scores = {stage: scores.to_dict() for stage, scores in position.scores.items()}
    rows = [(row.step, row.stage, row.learning_rate, row.val_mean_iou) for row in position.rows]
    progress = [load_checkpoint(path).progress for path in sorted(folder.glob("[!l]*.safetensors"))]
    return tensors, (position.stage, position.step, scores, rows, progress)


def assert_same(ours, theirs):
    assert left_behind(ours)[1] == left_behind(theirs)[1]
    (first, _), (second, _) = left_behind(ours), left_behind(theirs)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
