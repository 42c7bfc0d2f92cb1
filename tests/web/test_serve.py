import signal
import socket
import sys
import threading
import time
from contextlib import suppress

import httpx
import pytest

from atrous.checkpoint import save_checkpoint
from atrous.cli import main
from atrous.data.quantity import FLOW
from atrous.errors import ConfigError
from atrous.models.catalog import build_network, to_checkpoint
from atrous.models.regressor import compact_regressor
from atrous.web.limits import Limits
from atrous.web.serve import ServeConfig, build_service
from web.serving import as_file, noise, running, save_small, wait_for

QUICK = 5.0  # seconds, the most that an end may take


@pytest.fixture
def checkpoint(tmp_path):
    return save_small(tmp_path / "model.safetensors")


def test_a_missing_checkpoint_is_one_line(tmp_path, capsys):
    assert main(["serve", str(tmp_path / "no.safetensors"), "--port", "0"]) == 1
    assert "error: no checkpoint at" in capsys.readouterr().err


def test_without_gradio_the_line_says_what_to_install(checkpoint, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["serve", str(checkpoint), "--port", "0"]) == 1
    printed = capsys.readouterr().err
    assert 'run pip install "atrous[web]"' in printed
    assert printed.count("\n") == 1


def test_an_exported_file_is_one_line(tmp_path, capsys):
    assert main(["serve", str(tmp_path / "model.onnx"), "--port", "0"]) == 1
    assert "serve the checkpoint that it was made of" in capsys.readouterr().err


def test_a_taken_port_is_one_line(checkpoint, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", str(checkpoint), "--port", str(taken.getsockname()[1])]) == 1
    printed = capsys.readouterr().err
    assert "choose another --port" in printed
    assert printed.count("\n") == 1


def test_an_unknown_host_is_one_line(checkpoint, capsys):
    assert main(["serve", str(checkpoint), "--host", "192.0.2.1"]) == 1
    assert "or another --host" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [("context3d", "for volumes"), ("wavenet_labeler", "for sounds"), ("flow", "two images")],
)
def test_networks_of_other_inputs_are_refused(tmp_path, name, message):
    path = tmp_path / "model.safetensors"
    if name == "flow":
        network = compact_regressor(2, in_channels=6)
        stored = to_checkpoint(network, name="compact_regressor", labels=FLOW.to_dict(), progress={})
    else:
        network = build_network(name, num_classes=2)
        labels = {"names": ["a", "b"], "palette": [[0, 0, 0], [1, 1, 1]]}
        stored = to_checkpoint(network, name=name, labels=labels, progress={})
    save_checkpoint(path, stored)
    with pytest.raises(ConfigError, match=message):
        build_service(ServeConfig(path))


@pytest.mark.parametrize(
    "changes", [{"concurrency": 0}, {"max_pixels": -1}, {"queue": -1}, {"max_upload_mb": 0}]
)
def test_limits_that_allow_nothing_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        Limits(**changes)


def test_an_impossible_port_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="port 70000"):
        ServeConfig(tmp_path, port=70_000)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quickly_and_leaves_nothing(checkpoint, tmp_path, number):
    with running(checkpoint, environment={"TMPDIR": str(tmp_path)}) as (process, url):
        assert httpx.post(f"{url}/predict", files={"image": as_file(noise())}).status_code == 200
        with httpx.stream(
            "GET", f"{url}/gradio_api/heartbeat/x", timeout=5
        ) as page:  # as an open page has it
            assert page.status_code == 200
            start = time.monotonic()
            process.send_signal(number)
            assert process.wait(timeout=30) == 0
        assert time.monotonic() - start < QUICK
        assert process.stdout is not None
        printed = process.stdout.read()
    assert "stopped after" in printed
    assert "Traceback" not in printed
    assert not list(tmp_path.glob("atrous-serve-*"))


@pytest.mark.slow
def test_a_signal_while_the_network_computes_ends_it_as_well(checkpoint):
    with running(checkpoint, "--max-pixels", "16000000") as (process, url):
        heavy = as_file(noise(3600, 3600))  # for longer than the server waits

        def ask():
            with suppress(httpx.HTTPError):  # it is cut off
                httpx.post(f"{url}/predict", files={"image": heavy}, data={"format": "npz"}, timeout=60)

        asking = threading.Thread(target=ask)
        asking.start()
        while not httpx.get(f"{url}/health").json()["queue"]:
            assert asking.is_alive()
        time.sleep(0.5)  # decoded by now
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert time.monotonic() - start < QUICK
        asking.join()


@pytest.mark.slow
def test_nothing_of_an_upload_is_on_the_disk_not_even_after_kill_9(checkpoint, tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    environment = {"TMPDIR": str(folder)}
    with running(checkpoint, environment=environment) as (process, url):
        before = sorted(folder.rglob("*"))
        for _ in range(3):
            heavy = as_file(
                noise(1024, 1024), compress_level=0
            )  # 3 MB: forms of this size go to disk elsewhere
            for path in ("predict", "view/label"):
                assert httpx.post(f"{url}/{path}", files={"image": heavy}, timeout=60).status_code == 200
        assert sorted(folder.rglob("*")) == before
        process.kill()
        process.wait()
    (dead,) = folder.glob("atrous-serve-*")
    with running(checkpoint, environment=environment) as (process, url):
        assert not dead.exists()
        assert len(list(folder.glob("atrous-serve-*"))) == 1
        process.terminate()
        process.wait(timeout=30)
    assert [path for path in folder.iterdir() if path.name.startswith("atrous-serve-")] == []


@pytest.mark.slow
def test_who_hangs_up_does_not_block_the_next(checkpoint):
    with running(checkpoint, "--queue", "2") as (process, url):
        heavy = as_file(noise(1400, 1400))
        for _ in range(6):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{url}/predict", files={"image": heavy}, data={"format": "npz"}, timeout=0.4)
            wait_until_short(url)
        answer = httpx.post(f"{url}/predict", files={"image": as_file(noise())}, timeout=60)
        assert answer.status_code == 200
        wait_for(process, url)


def wait_until_short(url):
    end = time.monotonic() + 30
    while httpx.get(f"{url}/health").json()["queue"] > 2:
        assert time.monotonic() < end
        time.sleep(0.1)
