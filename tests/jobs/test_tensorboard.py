import importlib.util
import sys

import pytest

from atrous.errors import ConfigError
from atrous.jobs.run_state import Row
from atrous.jobs.tensorboard import tensorboard_events

ROWS = [Row(10, "front_end", 1.25, 1e-3, 4.5, 0.0), Row(20, "front_end", 1.0, 5e-4, 4.25, 0.0, 0.625)]


def test_events_without_tensorboard_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with (
        pytest.raises(ConfigError, match=r"pip install 'atrous\[tensorboard\]'"),
        tensorboard_events(tmp_path, last_step=0),
    ):
        pass


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs the extra tensorboard")
def test_events_hold_the_rows(tmp_path):
    from tensorboard.backend.event_processing import event_accumulator  # type: ignore[import-not-found]

    with tensorboard_events(tmp_path, last_step=0) as log:
        for row in ROWS:
            log(row)
    events = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 1.25), (20, 1.0)]
    assert [(event.step, event.value) for event in events.Scalars("val_mean_iou")] == [(20, 0.625)]


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs the extra tensorboard")
def test_a_resumed_run_hides_what_was_never_saved(tmp_path):
    from tensorboard.backend.event_processing import event_accumulator  # type: ignore[import-not-found]

    for rows, last_step in ((ROWS, 0), ([Row(20, "front_end", 0.5, 5e-4, 4.25, 0.0)], 10)):
        with tensorboard_events(tmp_path, last_step=last_step) as log:
            for row in rows:
                log(row)
    events = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 1.25), (20, 0.5)]
