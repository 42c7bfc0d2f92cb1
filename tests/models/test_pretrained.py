"""Starting weights from checkpoints: of the network, of its front end, for other classes, and of neither."""

import pytest
import torch

from atrous.checkpoint import save_checkpoint, save_tensors
from atrous.errors import CheckpointError
from atrous.layers.upsample import BilinearUpsampling
from atrous.models.catalog import build_network, to_checkpoint
from atrous.models.compact import CompactFrontEnd
from atrous.models.context import ContextModule
from atrous.models.contract import PLAIN_RGB, DenseNetwork, Normalization
from atrous.models.dilated_net import DilatedNet
from atrous.models.frontend import FrontEnd, Head
from atrous.models.pretrained import initialize_

NORMALIZATION = Normalization((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "BGR")
FINAL = ("layers.final.weight", "layers.final.bias")


def state_of(network: DenseNetwork) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_started(network: DenseNetwork, path, expected: dict[str, torch.Tensor]) -> None:
    """Exactly `expected` is loaded; all else keeps its value and is said to be fresh."""
    before = state_of(network)
    start = initialize_(network, path)
    assert set(start.loaded) == set(expected)
    assert set(start.fresh) == set(before) - set(expected)
    for name, value in network.state_dict().items():
        assert value.equal({**before, **expected}[name]), name


def save(network: DenseNetwork, path, *, name: str, context_module: str = "none") -> None:
    network.use_normalization_(NORMALIZATION)
    save_checkpoint(
        path, to_checkpoint(network, name=name, labels={}, progress={}, context_module=context_module)
    )


def assert_normalized(network: DenseNetwork) -> None:
    assert network.normalization == NORMALIZATION
    if isinstance(network, DilatedNet):
        assert network.front_end.normalization == NORMALIZATION


def test_a_checkpoint_of_the_network_brings_everything(tmp_path):
    source = build_network("compact_context", num_classes=3)
    save(source, tmp_path / "a.safetensors", name="compact_context")
    network = build_network("compact_context", num_classes=3)
    assert_started(network, tmp_path / "a.safetensors", state_of(source))
    assert_normalized(network)


def test_a_checkpoint_of_the_front_end_leaves_the_context_module_alone(tmp_path):
    source = build_network("compact", num_classes=3)
    save(source, tmp_path / "a.safetensors", name="compact")
    network = build_network("compact_context", num_classes=3)
    expected = {f"front_end.{name}": value for name, value in state_of(source).items()}
    assert_started(network, tmp_path / "a.safetensors", expected)
    assert_normalized(network)


def test_another_context_module_leaves_the_own_alone(tmp_path):
    source = build_network("compact", num_classes=3, context_module="large")
    save(source, tmp_path / "a.safetensors", name="compact", context_module="large")
    front_end = {name: value for name, value in state_of(source).items() if name.startswith("front_end.")}
    assert len(front_end) == 14
    assert_started(build_network("compact_context", num_classes=3), tmp_path / "a.safetensors", front_end)
    alone = {name.removeprefix("front_end."): value for name, value in front_end.items()}
    assert_started(build_network("compact", num_classes=3), tmp_path / "a.safetensors", alone)


@pytest.mark.parametrize("source_name", ["compact", "compact_context"])
@pytest.mark.parametrize("name", ["compact", "compact_context"])
def test_another_number_of_classes_leaves_the_last_layer_and_the_context_module_fresh(
    source_name, name, tmp_path
):
    source = build_network(source_name, num_classes=4)
    save(source, tmp_path / "a.safetensors", name=source_name)
    network = build_network(name, num_classes=3)
    prefix = "front_end." if name == "compact_context" else ""
    front_end = source.front_end if isinstance(source, DilatedNet) else source
    assert isinstance(front_end, DenseNetwork)
    expected = {f"{prefix}{key}": value for key, value in state_of(front_end).items() if key not in FINAL}
    assert_started(network, tmp_path / "a.safetensors", expected)
    assert_normalized(network)


@pytest.mark.parametrize(("num_classes", "source_classes"), [(3, 4), (16, 4), (16, 32)])
def test_layers_as_wide_as_the_classes_are_many_are_no_excuse(num_classes, source_classes, tmp_path):
    """Layers of another width are refused, even where it could be taken for a number of classes."""
    torch.save(CompactFrontEnd(source_classes, width=32).state_dict(), tmp_path / "a.pth")
    network = CompactFrontEnd(num_classes)
    before = state_of(network)
    with pytest.raises(
        CheckpointError, match=r"fits neither .*: layers\.conv1_\d\.\w+ is missing, unknown or"
    ):
        initialize_(network, tmp_path / "a.pth")
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


def test_a_head_of_another_size_is_refused(tmp_path):
    def front_end(channels: int) -> FrontEnd:
        return FrontEnd(3, padding="same", head=Head(channels=channels, kernel_size=3, dilation=12))

    torch.save(front_end(8).state_dict(), tmp_path / "a.pth")
    network = DilatedNet(front_end=front_end(16), context=ContextModule(3))
    with pytest.raises(
        CheckpointError, match=r"layers\.fc6\.weight is missing, unknown or of another"
    ) as caught:
        initialize_(network, tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


def test_a_plain_state_dict_of_the_network_keeps_its_normalization(tmp_path):
    source = build_network("compact", num_classes=3)
    torch.save(source.state_dict(), tmp_path / "a.pth")
    network = build_network("compact", num_classes=3)
    assert_started(network, tmp_path / "a.pth", state_of(source))
    assert network.normalization == PLAIN_RGB


def test_frozen_upsampling_is_never_called_fresh(tmp_path):
    """What no training changes does not wait for one."""
    narrow = CompactFrontEnd(2)
    upsampling = BilinearUpsampling(2, factor=4)
    stack = DilatedNet(front_end=narrow, context=ContextModule(2), upsampling=upsampling)
    torch.save(narrow.state_dict(), tmp_path / "a.pth")
    start = initialize_(stack, tmp_path / "a.pth")
    assert {name.partition(".")[0] for name in start.loaded} == {"front_end"}
    assert {name.partition(".")[0] for name in start.fresh} == {"context"}


def test_the_state_of_a_run_is_no_starting_point(tmp_path):
    save_tensors(tmp_path / "last.safetensors", CompactFrontEnd(3).state_dict(), {"state_version": 1})
    with pytest.raises(
        CheckpointError, match=r"last\.safetensors holds no atrous checkpoint; give the model"
    ):
        initialize_(CompactFrontEnd(3), tmp_path / "last.safetensors")


def test_a_newer_checkpoint_is_refused_by_name(tmp_path):
    save_tensors(tmp_path / "a.safetensors", CompactFrontEnd(3).state_dict(), {"format_version": 3})
    with pytest.raises(CheckpointError, match="has checkpoint format 3, this atrous reads 2; upgrade atrous"):
        initialize_(CompactFrontEnd(3), tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["absent.safetensors", "absent.pth", "absent.h5", "absent.caffemodel"])
def test_a_missing_file_is_refused(name, tmp_path):
    with pytest.raises(CheckpointError, match=f"{name}.*; give the path"):
        initialize_(CompactFrontEnd(3), tmp_path / name)
