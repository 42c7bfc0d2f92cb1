"""A module on interleaved grids: what it is, by indexing; nesting in copies, pickles, threads and exports."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from atrous.surgery.phases import InPhases, Slot, from_phases, to_phases

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=3)


@given(sizes=SIZES, data=st.data())
def test_to_phases_takes_every_nth_cell(sizes: list[int], data: st.DataObject):
    spread = [data.draw(st.integers(1, 4)) for _ in sizes]
    x = torch.randn(2, 3, *sizes)
    grids = to_phases(x, spread, spread)
    first = x[(..., *(slice(None, None, step) for step in spread))]
    assert torch.equal(grids[:2], first)
    assert grids.shape[2:] == first.shape[2:]
    assert torch.equal(from_phases(grids, spread, sizes), x)


def test_to_phases_keeps_the_first_grids_only():
    x = torch.arange(12.0).reshape(1, 1, 12)
    assert to_phases(x, [4], [2]).tolist() == [[[0, 4, 8]], [[1, 5, 9]]]


def test_a_grid_that_is_shorter_ends_in_its_neighbor():
    assert to_phases(torch.tensor([[[1.0, 2, 3]]]), [2], [2]).tolist() == [[[1, 3]], [[2, 3]]]


class Center(nn.Module):
    """Subtracts the mean over the map; fails on a map of one cell."""

    def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
        if x.shape[-1] == 1:
            raise ValueError("one cell")
        return (x - x.mean((2, 3), keepdim=True)) * scale


def in_phases(module: nn.Module, *spread: tuple[int, int]) -> nn.Module:
    InPhases(spread).attach_(module)
    return module


def test_each_grid_has_its_own_mean():
    x = torch.randn(2, 3, 7, 10)
    dense = in_phases(Center(), (2, 2), (3, 3))(x, scale=2.0)
    assert dense.shape == x.shape
    for i in range(2):
        for j in range(3):
            grid = x[..., i::2, j::3]
            if grid.shape[2:] == (4, 4):
                torch.testing.assert_close(dense[..., i::2, j::3], Center()(grid, scale=2.0))


def test_upsampling_in_phases_leaves_a_denser_map_than_before():
    x = torch.randn(1, 2, 8, 8)
    up = in_phases(nn.Upsample(scale_factor=2), (4, 2), (4, 2))
    dense = up(x)
    assert dense.shape == x.shape
    assert torch.equal(dense[..., ::2, ::2], nn.Upsample(scale_factor=2)(x[..., ::4, ::4]))
    assert torch.equal(dense[..., 1::2, ::2], nn.Upsample(scale_factor=2)(x[..., 1::4, ::4]))


def test_a_module_that_pads_or_crops_keeps_its_cells():
    x = torch.randn(1, 1, 9)
    padded = in_phases(nn.ReflectionPad1d((1, 2)), (2, 2))(x)
    assert torch.equal(padded[..., ::2], nn.ReflectionPad1d((1, 2))(x[..., ::2]))
    cut = nn.Conv1d(1, 1, 3)
    in_phases(cut, (2, 2))
    torch.testing.assert_close(cut(x)[..., ::2], nn.functional.conv1d(x[..., ::2], cut.weight, cut.bias))


def test_a_failed_forward_leaves_nothing_behind():
    module = in_phases(Center(), (4, 4), (4, 4))
    with pytest.raises(ValueError, match="one cell"):
        module(torch.randn(1, 1, 4, 4))
    assert module(torch.randn(1, 1, 9, 9)).shape == (1, 1, 9, 9)


def test_copies_and_pickles_work_on_their_own():
    module = in_phases(Center(), (2, 2), (2, 2))
    x = torch.randn(1, 3, 6, 5)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(x), module(x))
        assert other._forward_hooks is not module._forward_hooks


def test_threads_do_not_see_each_others_sizes():
    module = in_phases(Center(), (2, 2), (2, 2))
    images = [torch.randn(1, 1, size, size + 1) for size in range(4, 40)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(module, images))
    assert all(torch.equal(result, module(x)) for x, result in zip(images, results, strict=True))


def test_a_slot_gives_its_value_once_and_is_one_slot_in_a_copy():
    slot = Slot()
    slot.put(3)
    first, second = copy.deepcopy([slot, slot])
    assert first is second
    assert first.take() is None
    assert (slot.take(), slot.take()) == (3, None)


def test_gradients_flow_through():
    x = torch.randn(1, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(in_phases(Center(), (2, 2), (2, 2)), x)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # PyTorch 2.13 meets its own
def test_it_exports_with_dynamic_sizes_and_decomposes_into_torchs_own_operators():
    module = in_phases(Center(), (2, 2), (2, 2))
    height, width = torch.export.Dim("height", min=6), torch.export.Dim("width", min=6)
    program = torch.export.export(
        module, (torch.randn(1, 3, 12, 10),), dynamic_shapes=({2: height, 3: width},), strict=False
    )
    x = torch.randn(1, 3, 9, 14)
    torch.testing.assert_close(program.module()(x), module(x))
    names = {str(node.target) for node in program.run_decompositions().graph.nodes}
    assert not any("atrous" in name for name in names)
