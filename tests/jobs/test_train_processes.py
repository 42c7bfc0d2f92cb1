"""Training in processes of its own: real signals, a kill, a full disk, and two processes under torchrun."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from atrous.checkpoint import load_tensors
from atrous.config import to_toml
from atrous.errors import CheckpointError
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.run_state import Position
from atrous.jobs.train import TrainConfig, train
from atrous.training.settings import Stage
from jobs.runs import advance

STAGE = Stage(num_steps=6, batch_size=1, crop_size=(32, 40), learning_rate=0.01, scale=(0.8, 1.3))
PATIENCE = 250  # s; a busy machine takes its time

# As `python -m atrous`, but only the first process may write to any file.
FIRST_PROCESS_WRITES = """
import os, resource, sys
import lightning_fabric  # looks for a folder for temporary files, by writing one
if os.environ.get("RANK", "0") != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from atrous.cli import main
sys.exit(main())
"""


@pytest.fixture
def config(tiny_data, tmp_path):
    return TrainConfig(
        data=tiny_data,
        output=tmp_path / "run",
        network="compact_context",
        device="cpu",
        precision="float32",
        save_every=4,
        front_end=STAGE,
        context=replace(STAGE, scale=(1.0, 1.0)),
        joint=STAGE,
    )


def command(config):
    """What follows `atrous` to run the config."""
    recipe = config.output.with_suffix(".toml")
    recipe.write_text(to_toml(replace(config, resume=False)))
    return ["train", "--recipe", str(recipe), *(["--resume"] if config.resume else [])]


@pytest.fixture
def start():
    """Starts `python WORDS` with both streams piped; whatever still runs at the end of the test is killed."""
    started = []

    def start(*words, **settings):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, *words], start_new_session=True, **pipes, **settings)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def pair(config):
    """What follows `python` to run the config in two gloo processes."""
    script = config.output.with_suffix(".py")
    script.write_text(FIRST_PROCESS_WRITES)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return (*torchrun, str(script), *command(config))


def finish(process):
    """Exit code, output and error stream."""
    output, errors = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in errors, errors
    return process.returncode, output, errors


def wait_until_saved(process, output, *, step):
    """Wait until the process has a state beyond that step of the first stage on disk."""
    deadline = time.monotonic() + PATIENCE
    while position_of(output).step <= step:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def position_of(output):
    try:
        return RunFolder(output).load_state().position
    except CheckpointError:  # not there yet
        return Position("", -1)


def tensors_of(folder):
    return {
        f"{path.name}: {name}": value
        for path in sorted(folder.glob("[!.]*.safetensors"))
        for name, value in load_tensors(path)[0].items()
    }


def assert_same(ours, theirs, **tolerance):
    """Equal bits, or close where a tolerance is given."""
    first, second = tensors_of(ours), tensors_of(theirs)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if tolerance:
            torch.testing.assert_close(value, second[name], **tolerance, msg=name)
        else:
            assert torch.equal(value, second[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_stopped_and_resumed_is_the_uninterrupted_run(config, start, number):
    config = replace(config, front_end=replace(STAGE, num_steps=80), context=Stage(), joint=Stage())
    process = start("-m", "atrous", *command(config))
    wait_until_saved(process, config.output, step=3)
    process.send_signal(number)
    code, _, errors = finish(process)
    position = position_of(config.output)
    assert 3 < position.step < 80
    if number == signal.SIGKILL:
        assert code == -number
    else:
        last = errors.strip().splitlines()[-1]
        assert last == f"stopped after step {position.step} of front_end, all saved; add --resume to go on"
        assert code == {signal.SIGINT: 130, signal.SIGTERM: 0}[number]
    train(replace(config, resume=True))
    whole = replace(config, output=config.output.with_name("whole"))
    train(whole)
    assert_same(config.output, whole.output)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_old_checkpoint_survives(config, start):
    config = replace(config, context=Stage(), joint=Stage())
    advance(config, "front_end", 5)  # saved at 4
    last = config.output / "last.safetensors"
    before = last.read_bytes()
    limit = len(before) // 2
    process = start(
        "-m",
        "atrous",
        *command(replace(config, resume=True)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    code, output, errors = finish(process)
    assert code == 1
    assert output == ""
    line = errors.strip().splitlines()[-1]
    assert line.startswith("error: cannot write ")
    assert line.endswith("what was there before is untouched")
    assert last.read_bytes() == before
    assert not list(config.output.glob(".*"))  # nothing half written
    train(replace(config, resume=True))
    whole = replace(config, output=config.output.with_name("whole"))
    train(whole)
    assert_same(config.output, whole.output)


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_accumulation(config, start):
    """Through all three stages; and the second process writes no file."""
    assert finish(start(*pair(config)))[0] == 0
    alone = replace(
        config,
        output=config.output.with_name("alone"),
        front_end=replace(config.front_end, accumulate=2),
        context=replace(config.context, accumulate=2),
        joint=replace(config.joint, accumulate=2),
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as torchrun sets it
    try:
        result = train(alone)
    finally:
        torch.set_num_threads(threads)
    assert_same(config.output, alone.output, atol=1e-5, rtol=1e-4)
    position = position_of(config.output)
    assert position.scores.keys() == result.scores.keys() == {"front_end", "context", "joint"}
    for stage, scores in result.scores.items():
        assert position.scores[stage].to_dict() == scores.to_dict()


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on_as_if_they_had_not(config, start):
    config = replace(config, front_end=replace(STAGE, num_steps=80), context=Stage(), joint=Stage())
    process = start(*pair(config))
    wait_until_saved(process, config.output, step=3)
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE)
    position = position_of(config.output)
    assert 3 < position.step < 80
    assert errors.count(f"stopped after step {position.step} of front_end, all saved") == 2
    assert finish(start(*pair(replace(config, resume=True))))[0] == 0
    whole = replace(config, output=config.output.with_name("whole"))
    assert finish(start(*pair(whole)))[0] == 0
    assert_same(config.output, whole.output)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_of_two_processes_one_that_is_killed_ends_the_other_with_a_line_and_the_state_stands(
    config, start, victim
):
    """Started by hand, not by torchrun, which would end the other one itself."""
    config = replace(config, front_end=replace(STAGE, num_steps=400), context=Stage(), joint=Stage())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        start(
            "-m", "atrous", *command(config), env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank}
        )
        for rank in "01"
    ]
    wait_until_saved(processes[0], config.output, step=3)
    processes[victim].kill()
    code, _, errors = finish(processes[1 - victim])
    assert code == 1
    position = position_of(config.output)
    assert 3 < position.step < 400
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert lines == [
        "error: another of the 2 processes of this training is gone (its own output says why); "
        f"step {position.step} of front_end is saved: start all of them again with --resume"
    ]
    train(
        replace(config, resume=True, output=config.output)
    )  # the state is whole: one process can go on from it
